// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Texts} from "../../contracts/libraries/Texts.sol";
import {AuthorizationId, Outcome, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Passkeys} from "./Passkeys.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title What takes all gas that it gets.
contract GasBurner {
    fallback() external {
        while (true) {}
    }
}

/// @title A contract to which every signature is right.
contract Yes {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0x1626ba7e;
    }
}

/// @title People who sign with something else than an account's key.
contract SignersTest is Fixture {
    uint256 private constant PHONE = 0x9407e;

    function test_a_person_grants_and_revokes_with_a_passkey() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE));
        IAuthorizations.Authorization memory terms = _terms();
        terms.subject = BOB;
        AuthorizationId authorization = authorizations.grant(terms, _byPhone(Signed.authorization(terms)));
        _expect(_use(authorization), Outcome.Allowed);

        bytes32 revocation = Signed.revocation(BOB, authorization, _soon());
        authorizations.revoke(BOB, authorization, _soon(), _byPhone(revocation));
        _expect(_use(authorization), Outcome.Revoked);
    }

    function test_another_passkey_signs_nothing() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE + 1));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.SignerUnauthorized.selector, BOB, approval.signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
    }

    function test_a_passkeys_signature_is_for_one_record() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        bytes memory invalid = abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer);
        _refused(invalid);
        authorizations.setFrozen(BOB, true, "another", _soon(), approval);
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
        _refused(invalid);
        authorizations.setFrozen(BOB, false, "nonce", _soon(), approval);
    }

    function test_a_passkeys_truncated_signature_is_refused() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        approval.signature = hex"0102";
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
    }

    // verifiers

    function test_an_unlisted_verifier_is_no_signer_and_is_not_even_asked() external {
        address burner = address(new GasBurner());
        bytes memory signer = abi.encodePacked(burner, "key");
        bytes memory unlisted = abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, burner);
        _refusesSigner(signer, unlisted);
        uint256 before = gasleft();
        try authorizations.setFrozen(ALICE, true, "nonce", _soon(), ISubjects.Approval(signer, "")) {} catch {}
        VM.assertTrue(before - gasleft() < 200_000, "gas");
    }

    /// @dev The identity precompile gives back what it is given, the call's selector first: any signature was right.
    function test_a_precompile_is_no_verifier() external {
        for (uint160 place = 1; place <= 10; ++place) {
            bytes memory signer = abi.encodePacked(place, "key");
            _refusesSigner(signer, abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, place));
        }
    }

    function test_a_verifier_without_code_is_no_verifier() external {
        bytes memory signer = abi.encodePacked(stranger, "key");
        _refusesSigner(signer, abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, stranger));
    }

    function test_a_verifier_that_is_listed_later_is_a_signer_from_then_on() external {
        address verifier = _create("PasskeyVerifier", "");
        bytes memory signer = Passkeys.signer(verifier, PHONE);
        _refusesSigner(signer, abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, verifier));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Verifier, verifier, address(0));
        VM.warp(START + ADMISSION_DELAY);
        registry.makeChange(IRegistry.Change.Verifier, verifier, address(0));
        _enrol(BOB, signer);
        bytes32 digest = Signed.digest(address(authorizations), Signed.freeze(BOB, true, "nonce", _soon()));
        ISubjects.Approval memory approval = ISubjects.Approval(signer, Passkeys.sign(PHONE, digest));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
        VM.assertTrue(authorizations.subjectOf(BOB).frozen, "frozen");
    }

    function test_a_verifier_is_asked_for_its_code_at_each_signature() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        VM.etch(passkeyVerifier, "");
        _refused(abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, passkeyVerifier));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
    }

    function test_a_new_signer_and_a_guardian_have_a_listed_verifier_too() external {
        bytes memory signer = abi.encodePacked(uint160(4), "key");
        bytes memory unlisted = abi.encodeWithSelector(ISubjects.VerifierUnlisted.selector, uint160(4));
        ISubjects.Approval memory approval = _byAlice(Signed.rotation(ALICE, signer, "nonce", _soon()));
        _refused(unlisted);
        authorizations.rotateSigner(ALICE, signer, "nonce", _soon(), approval);
        approval = _byAlice(Signed.guardian(ALICE, signer, START + 1 days, "nonce", _soon()));
        _refused(unlisted);
        authorizations.appointGuardian(ALICE, signer, START + 1 days, "nonce", _soon(), approval);
        _refused(unlisted);
        _startRecovery(signer);
    }

    // lengths

    function test_a_signer_has_512_bytes_at_most() external {
        bytes memory tooLong = abi.encodeWithSelector(Texts.TooLong.selector, 513, 512);
        bytes memory long = bytes.concat(abi.encodePacked(passkeyVerifier), new bytes(493));
        _refusesSigner(long, tooLong);
        ISubjects.Approval memory approval = _byAlice(Signed.rotation(ALICE, long, "nonce", _soon()));
        _refused(tooLong);
        authorizations.rotateSigner(ALICE, long, "nonce", _soon(), approval);
        approval = _byAlice(Signed.guardian(ALICE, long, START + 1 days, "nonce", _soon()));
        _refused(tooLong);
        authorizations.appointGuardian(ALICE, long, START + 1 days, "nonce", _soon(), approval);
        _refused(tooLong);
        _startRecovery(long);
    }

    function test_a_signer_of_512_bytes_is_one_for_less_than_a_million_gas() external {
        bytes memory longest = bytes.concat(abi.encodePacked(passkeyVerifier), new bytes(492));
        ISubjects.Approval memory approval = _byAlice(Signed.rotation(ALICE, longest, "nonce", _soon()));
        uint256 before = gasleft();
        authorizations.rotateSigner(ALICE, longest, "nonce", _soon(), approval);
        VM.assertTrue(before - gasleft() < 1_000_000, "gas");
        VM.assertEq(authorizations.subjectOf(ALICE).signer, longest, "signer");
        _startRecovery(longest);
        VM.assertEq(authorizations.subjectOf(ALICE).pendingSigner, longest, "pending signer");
    }

    // accounts

    /// @dev An address without code at registration may get code later, and a contract would answer whatever it likes.
    function test_an_account_signs_by_its_key_whatever_code_it_gets() external {
        VM.etch(VM.addr(ALICE_KEY), address(new Yes()).code);
        ISubjects.Approval memory approval = ISubjects.Approval(_account(ALICE_KEY), "anything");
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        authorizations.setFrozen(ALICE, true, "nonce", _soon(), approval);
        _setFrozen(true);
        VM.assertTrue(authorizations.subjectOf(ALICE).frozen, "by its key");
    }

    function test_a_contract_is_no_account() external {
        bytes memory signer = abi.encodePacked(address(new Yes()));
        _enrol(BOB, signer);
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), ISubjects.Approval(signer, "anything"));
    }

    /// @dev Recovered from no signature at all is the zero address.
    function test_nobody_signs_for_the_zero_address() external {
        bytes memory signer = new bytes(20);
        _enrol(BOB, signer);
        bytes[3] memory signatures = [new bytes(65), bytes(""), new bytes(64)];
        for (uint256 i = 0; i < 3; ++i) {
            _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, signer));
            authorizations.setFrozen(BOB, true, "nonce", _soon(), ISubjects.Approval(signer, signatures[i]));
        }
    }

    // replaced

    function test_a_lost_passkey_is_replaced_by_an_account() external {
        _enrol(BOB, Passkeys.signer(passkeyVerifier, PHONE));
        VM.prank(identity);
        authorizations.startRecovery(BOB, _account(NEW_KEY));
        VM.warp(START + RECOVERY_DELAY);
        authorizations.completeRecovery(BOB);
        bytes32 structHash = Signed.freeze(BOB, true, "nonce", _soon());
        authorizations.setFrozen(BOB, true, "nonce", _soon(), _by(NEW_KEY, structHash));
        VM.assertTrue(authorizations.subjectOf(BOB).frozen, "frozen");
    }

    /// @dev docs/spec/vectors/typed-data.json, "signatures": what `ledger.webauthn` signed.
    function test_the_verifier_takes_the_signature_of_the_published_vector() external view {
        bytes memory key =
            hex"481f675676cba1e194ff43c75070ca4e3a09367e2b52befaf811ddd8844addd22daca73ecd71695c56a3ea23f5ef434f14caa7ad892efaadb7bdc5ae9579a35d";
        bytes memory signature =
            hex"ffbbaae5948a4d96648b2ac8a2fce709cd805d219bde583f94d81ba4f2133a0b590fc6cbbef989c23bd85362a48571174daa7939d0089c89da0b773036a6bf440000000000000000000000000000000000000000000000000000000000000017000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000001200000000000000000000000000000000000000000000000000000000000000025f34f7fb99d0c0e35e4dcd9e337700bbc66bbc64ead5e3f674968feac21034455050000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000877b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a226a4b55425a715a4636574c79435669576e3331692d4e764c4a32387a4b366677334c6f4f6e506e4a4c4549222c226f726967696e223a2268747470733a2f2f77616c6c65742e6578616d706c65222c2263726f73734f726967696e223a66616c73657d00000000000000000000000000000000000000000000000000";
        bytes32 digest = 0x8ca50166a645e962f20958969f7d62f8dbcb276f332ba7f0dcba0e9cf9c92c42;
        IERC7913SignatureVerifier verifier = IERC7913SignatureVerifier(passkeyVerifier);
        bytes4 answer = verifier.verify(key, digest, signature);
        VM.assertTrue(answer == IERC7913SignatureVerifier.verify.selector, "valid");
        answer = verifier.verify(key, ~digest, signature);
        VM.assertTrue(answer != IERC7913SignatureVerifier.verify.selector, "of another digest");
    }

    function _refusesSigner(bytes memory signer, bytes memory reason) private {
        SubjectId[] memory subjects = new SubjectId[](1);
        subjects[0] = BOB;
        bytes[] memory signers = new bytes[](1);
        signers[0] = signer;
        _refused(reason);
        VM.prank(identity);
        authorizations.registerSubjects(subjects, signers);
    }

    function _byPhone(bytes32 structHash) private view returns (ISubjects.Approval memory) {
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        return ISubjects.Approval(Passkeys.signer(passkeyVerifier, PHONE), Passkeys.sign(PHONE, digest));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {AuthorizationId, Outcome, SubjectId} from "../../contracts/libraries/Types.sol";
import {ERC1271Wallet} from "./ERC1271Wallet.sol";
import {Fixture} from "./Fixture.sol";
import {Passkeys} from "./Passkeys.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title People who sign with something else than an account's key.
contract SignersTest is Fixture {
    uint256 private constant PHONE = 0x9407e;

    function test_a_person_grants_and_revokes_with_a_passkey() external {
        _enrol(BOB, Passkeys.signer(address(passkeyVerifier), PHONE));
        IAuthorizations.Authorization memory terms = _terms();
        terms.subject = BOB;
        AuthorizationId authorization = authorizations.grant(terms, _byPhone(Signed.authorization(terms)));
        _expect(_use(authorization), Outcome.Allowed);

        bytes32 revocation = Signed.revocation(BOB, authorization, _soon());
        authorizations.revoke(BOB, authorization, _soon(), _byPhone(revocation));
        _expect(_use(authorization), Outcome.Revoked);
    }

    function test_another_passkey_signs_nothing() external {
        _enrol(BOB, Passkeys.signer(address(passkeyVerifier), PHONE + 1));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.SignerUnauthorized.selector, BOB, approval.signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
    }

    function test_a_passkeys_signature_is_for_one_record() external {
        _enrol(BOB, Passkeys.signer(address(passkeyVerifier), PHONE));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        authorizations.setFrozen(BOB, false, "nonce", _soon(), approval);
    }

    function test_a_passkeys_truncated_signature_is_refused() external {
        _enrol(BOB, Passkeys.signer(address(passkeyVerifier), PHONE));
        ISubjects.Approval memory approval = _byPhone(Signed.freeze(BOB, true, "nonce", _soon()));
        approval.signature = hex"0102";
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), approval);
    }

    function test_a_verifier_without_code_verifies_nothing() external {
        bytes memory signer = abi.encodePacked(stranger, "key");
        _enrol(BOB, signer);
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, signer));
        authorizations.setFrozen(BOB, true, "nonce", _soon(), ISubjects.Approval(signer, "signature"));
    }

    function test_a_person_grants_with_a_contract_account_until_it_is_locked() external {
        ERC1271Wallet wallet = new ERC1271Wallet(VM.addr(NEW_KEY));
        bytes memory signer = abi.encodePacked(address(wallet));
        _enrol(BOB, signer);
        IAuthorizations.Authorization memory terms = _terms();
        terms.subject = BOB;
        ISubjects.Approval memory approval = _by(NEW_KEY, Signed.authorization(terms));
        approval.signer = signer;
        _expect(_use(authorizations.grant(terms, approval)), Outcome.Allowed);

        wallet.lock();
        terms.nonce = _random();
        approval = _by(NEW_KEY, Signed.authorization(terms));
        approval.signer = signer;
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, signer));
        authorizations.grant(terms, approval);
    }

    function test_a_lost_passkey_is_replaced_by_an_account() external {
        _enrol(BOB, Passkeys.signer(address(passkeyVerifier), PHONE));
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
        bytes4 answer = passkeyVerifier.verify(key, digest, signature);
        VM.assertTrue(answer == IERC7913SignatureVerifier.verify.selector, "valid");
        answer = passkeyVerifier.verify(key, ~digest, signature);
        VM.assertTrue(answer != IERC7913SignatureVerifier.verify.selector, "of another digest");
    }

    function _byPhone(bytes32 structHash) private view returns (ISubjects.Approval memory) {
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        return ISubjects.Approval(Passkeys.signer(address(passkeyVerifier), PHONE), Passkeys.sign(PHONE, digest));
    }
}

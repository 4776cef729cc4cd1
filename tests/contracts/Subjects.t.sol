// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {AuthorizationId, Outcome, Role, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM, Vm} from "./Vm.sol";

contract SubjectsTest is Fixture {
    SubjectId private constant NOBODY = SubjectId.wrap("nobody");

    // deployment

    function test_a_recovery_takes_time() external {
        bytes memory arguments = abi.encode(registry, catalogue, agreements, accessLog, uint64(0));
        _refused(abi.encodeWithSelector(ISubjects.RecoveryDelayTooShort.selector, uint64(0)));
        this.deployAuthorizations(arguments);
        this.deployAuthorizations(abi.encode(registry, catalogue, agreements, accessLog, uint64(1))); // of a trial
    }

    function test_a_recovery_takes_three_days_where_it_is_no_trial() external {
        bytes memory serious = abi.encode(authority, false, uint64(3 days), _founders(), new address[](0));
        address noTrial = _create("Registry", serious);
        _refused(abi.encodeWithSelector(ISubjects.RecoveryDelayTooShort.selector, uint64(3 days - 1)));
        this.deployAuthorizations(abi.encode(noTrial, catalogue, agreements, accessLog, uint64(3 days - 1)));
        this.deployAuthorizations(abi.encode(noTrial, catalogue, agreements, accessLog, uint64(3 days)));
    }

    function deployAuthorizations(bytes calldata arguments) external {
        _create("Authorizations", arguments);
    }

    // registerSubjects

    function test_only_the_identity_authority_registers_people() external {
        (SubjectId[] memory subjects, bytes[] memory signers) = _people(BOB, _account(NEW_KEY));
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.IdentityAuthority));
        VM.prank(bank);
        authorizations.registerSubjects(subjects, signers);
    }

    function test_each_person_comes_with_a_signer() external {
        (SubjectId[] memory subjects,) = _people(BOB, "");
        _refused(abi.encodeWithSelector(ISubjects.LengthMismatch.selector, 1, 0));
        VM.prank(identity);
        authorizations.registerSubjects(subjects, new bytes[](0));
    }

    function test_a_person_has_an_id() external {
        _refusesPerson(
            SubjectId.wrap(0), _account(NEW_KEY), abi.encodeWithSelector(ISubjects.EmptySubject.selector)
        );
    }

    function test_a_person_is_registered_once() external {
        _refusesPerson(
            ALICE, _account(NEW_KEY), abi.encodeWithSelector(ISubjects.SubjectExists.selector, ALICE)
        );
    }

    function test_a_signer_is_at_least_an_account() external {
        _refusesPerson(BOB, new bytes(19), abi.encodeWithSelector(ISubjects.SignerTooShort.selector, 19));
    }

    function test_registered_people_are_numbered_in_order() external {
        SubjectId[] memory subjects = new SubjectId[](2);
        (subjects[0], subjects[1]) = (BOB, SubjectId.wrap("carol"));
        bytes[] memory signers = new bytes[](2);
        (signers[0], signers[1]) = (_account(NEW_KEY), _account(STRANGER_KEY));
        uint64 number = _emits(authorizations);
        emit ISubjects.SubjectRegistered(BOB, number, 2, identity, signers[0]);
        VM.expectEmit(address(authorizations));
        emit ISubjects.SubjectRegistered(subjects[1], number + 1, 3, identity, signers[1]);
        VM.prank(identity);
        authorizations.registerSubjects(subjects, signers);

        ISubjects.SubjectState memory state = authorizations.subjectOf(BOB);
        VM.assertEq(state.number, 2, "number");
        VM.assertEq(state.signer, signers[0], "signer");
        VM.assertTrue(state.registrar == identity && state.linksFrom == 0 && !state.closed, "registrar");
        VM.assertTrue(!state.frozen && state.epoch == 0 && state.recoveryAt == 0, "state");
        VM.assertEq(authorizations.subjectOf(NOBODY).number, 0, "unknown");
        _expectChained();
    }

    // setFrozen

    function test_only_a_known_person_freezes() external {
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(NOBODY, true, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.setFrozen(NOBODY, true, "nonce", _soon(), approval);
    }

    function test_a_freeze_is_relayed_before_its_deadline() external {
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, true, "nonce", START - 1));
        _refused(abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1));
        authorizations.setFrozen(ALICE, true, "nonce", START - 1, approval);
    }

    function test_nobody_else_freezes() external {
        _refusesFreeze(_by(STRANGER_KEY, Signed.freeze(ALICE, true, "nonce", _soon())), _unauthorized(STRANGER_KEY));
    }

    function test_a_freeze_is_not_signed_by_another_key() external {
        bytes32 structHash = Signed.freeze(ALICE, true, "nonce", _soon());
        ISubjects.Approval memory approval = _by(STRANGER_KEY, structHash);
        approval.signer = _account(ALICE_KEY);
        _refusesFreeze(approval, _invalid());
    }

    function test_a_freeze_of_a_far_deadline_is_refused() external {
        uint64 far = uint64(type(uint40).max) + 1;
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, true, "nonce", far));
        _refused(abi.encodeWithSelector(ISubjects.DeadlineTooLarge.selector, far));
        authorizations.setFrozen(ALICE, true, "nonce", far, approval);
    }

    function test_unfreezing_is_not_freezing() external {
        _refusesFreeze(_byAlice(Signed.freeze(ALICE, false, "nonce", _soon())), _invalid());
    }

    function test_a_freeze_is_for_this_chain() external {
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, true, "nonce", _soon()));
        VM.chainId(block.chainid + 1);
        _refusesFreeze(approval, _invalid());
    }

    function test_a_freeze_is_for_this_contract() external {
        bytes32 structHash = Signed.freeze(ALICE, true, "nonce", _soon());
        bytes memory signature = _sign(ALICE_KEY, Signed.digest(address(accessLog), structHash));
        _refusesFreeze(ISubjects.Approval(_account(ALICE_KEY), signature), _invalid());
    }

    function test_an_unfreeze_is_not_replayed_after_the_next_freeze() external {
        bytes32 structHash = Signed.freeze(ALICE, false, "nonce", _soon());
        ISubjects.Approval memory approval = _byAlice(structHash);
        _setFrozen(true);
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
        _setFrozen(true);
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        _refused(abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest));
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
    }

    function test_a_frozen_person_is_read_by_nobody_from_the_next_block_on() external {
        AuthorizationId authorization = _granted();
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, true, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.SubjectFrozen(ALICE, number, keccak256(approval.signer), START + RECOVERY_DELAY);
        VM.prank(stranger); // anyone relays
        authorizations.setFrozen(ALICE, true, "nonce", _soon(), approval);

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(state.frozen && state.liftableAt == START + RECOVERY_DELAY, "frozen");
        VM.assertEq(state.frozenBy, keccak256(approval.signer), "by whom");
        (, bool halted) = authorizations.grantOf(authorization);
        VM.assertTrue(halted, "halted");
        VM.roll(block.number + 1);
        _expect(_use(authorization), Outcome.Frozen);
        _expectChained();
    }

    function test_an_unfrozen_person_is_read_again() external {
        AuthorizationId authorization = _granted();
        _setFrozen(true);
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, false, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.SubjectUnfrozen(ALICE, number, keccak256(approval.signer));
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(!state.frozen && state.frozenBy == 0 && state.liftableAt == 0, "state");
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    function test_nobody_can_stop_a_freeze() external {
        AuthorizationId authorization = _granted();
        _shutEverythingDown();
        _setFrozen(true);
        (, bool halted) = authorizations.grantOf(authorization);
        VM.assertTrue(halted && authorizations.subjectOf(ALICE).frozen, "halted");
    }

    // rotateSigner

    function test_only_a_known_person_rotates() external {
        ISubjects.Approval memory approval = _byAlice("any");
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.rotateSigner(NOBODY, _account(NEW_KEY), "nonce", _soon(), approval);
    }

    function test_a_key_is_not_rotated_during_a_recovery() external {
        _startRecovery(_account(NEW_KEY));
        _refusesRotation(
            _account(STRANGER_KEY),
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.RecoveryPending.selector, ALICE)
        );
    }

    function test_a_key_is_rotated_to_a_signer() external {
        _refusesRotation(
            hex"01", _soon(), ALICE_KEY, abi.encodeWithSelector(ISubjects.SignerTooShort.selector, 1)
        );
    }

    function test_a_rotation_is_relayed_before_its_deadline() external {
        _refusesRotation(
            _account(NEW_KEY),
            START - 1,
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1)
        );
    }

    function test_nobody_else_rotates() external {
        _refusesRotation(_account(NEW_KEY), _soon(), STRANGER_KEY, _unauthorized(STRANGER_KEY));
    }

    function test_a_guardian_does_not_rotate() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        _refusesRotation(_account(NEW_KEY), _soon(), GUARDIAN_KEY, _unauthorized(GUARDIAN_KEY));
    }

    function test_a_rotation_is_used_once() external {
        bytes32 there = Signed.rotation(ALICE, _account(NEW_KEY), "nonce", _soon());
        authorizations.rotateSigner(ALICE, _account(NEW_KEY), "nonce", _soon(), _byAlice(there));
        bytes32 back = Signed.rotation(ALICE, _account(ALICE_KEY), "nonce", _soon());
        authorizations.rotateSigner(ALICE, _account(ALICE_KEY), "nonce", _soon(), _by(NEW_KEY, back));

        bytes32 digest = Signed.digest(address(authorizations), there);
        _refusesRotation(
            _account(NEW_KEY), _soon(), ALICE_KEY, abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest)
        );
    }

    function test_a_key_of_a_closed_id_is_not_rotated() external {
        _close();
        _refusesRotation(
            _account(NEW_KEY),
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.SubjectIsClosed.selector, ALICE)
        );
    }

    function test_after_a_rotation_only_the_new_key_consents_and_grants_stay() external {
        AuthorizationId authorization = _granted();
        bytes memory newSigner = _account(NEW_KEY);
        ISubjects.Approval memory approval = _byAlice(Signed.rotation(ALICE, newSigner, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.SignerRotated(ALICE, number, newSigner, START + 30 days);
        authorizations.rotateSigner(ALICE, newSigner, "nonce", _soon(), approval);

        VM.assertEq(authorizations.subjectOf(ALICE).signer, newSigner, "signer");
        _expect(_use(authorization), Outcome.Allowed);
        IAuthorizations.Authorization memory terms = _terms();
        approval = _byAlice(Signed.authorization(terms));
        _refused(_unauthorized(ALICE_KEY));
        authorizations.grant(terms, approval);
        approval = _by(NEW_KEY, Signed.authorization(terms));
        _expect(_use(authorizations.grant(terms, approval)), Outcome.Allowed);
        _refusesRotation(_account(STRANGER_KEY), _soon(), ALICE_KEY, _unauthorized(ALICE_KEY));
        _expectChained();
    }

    // appointGuardian

    function test_only_a_known_person_appoints() external {
        ISubjects.Approval memory approval = _byAlice("any");
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.appointGuardian(NOBODY, _account(GUARDIAN_KEY), 0, "nonce", _soon(), approval);
    }

    function test_a_guardian_is_not_appointed_during_a_recovery() external {
        _startRecovery(_account(NEW_KEY));
        _refusesGuardian(
            _account(GUARDIAN_KEY),
            START + 1,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.RecoveryPending.selector, ALICE)
        );
    }

    function test_a_guardian_of_a_closed_id_is_not_appointed() external {
        _close();
        _refusesGuardian(
            _account(GUARDIAN_KEY),
            START + 1,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.SubjectIsClosed.selector, ALICE)
        );
    }

    function test_a_guardian_is_a_signer() external {
        _refusesGuardian(
            hex"01", START + 1, _soon(), ALICE_KEY, abi.encodeWithSelector(ISubjects.SignerTooShort.selector, 1)
        );
    }

    function test_guardianship_ends_in_the_future() external {
        _refusesGuardian(
            _account(GUARDIAN_KEY),
            START,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.EndNotInFuture.selector, START)
        );
        uint64 far = uint64(type(uint40).max) + 1;
        _refusesGuardian(
            _account(GUARDIAN_KEY),
            far,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.EndNotInFuture.selector, far)
        );
    }

    function test_an_appointment_is_relayed_before_its_deadline() external {
        _refusesGuardian(
            _account(GUARDIAN_KEY),
            START + 1,
            START - 1,
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1)
        );
    }

    function test_a_guardian_appoints_nobody() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        _refusesGuardian(
            _account(STRANGER_KEY), START + 9 days, _soon(), GUARDIAN_KEY, _unauthorized(GUARDIAN_KEY)
        );
    }

    function test_an_appointment_is_used_once() external {
        bytes memory guardian = _account(GUARDIAN_KEY);
        bytes32 structHash = Signed.guardian(ALICE, guardian, START + 1 days, "nonce", _soon());
        authorizations.appointGuardian(ALICE, guardian, START + 1 days, "nonce", _soon(), _byAlice(structHash));
        _appoint(GUARDIAN_KEY, 0);
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        _refusesGuardian(
            guardian,
            START + 1 days,
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest)
        );
    }

    function test_a_guardian_signs_until_the_end() external {
        bytes memory guardian = _account(GUARDIAN_KEY);
        uint64 end = START + 1 days;
        ISubjects.Approval memory approval = _byAlice(Signed.guardian(ALICE, guardian, end, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.GuardianAppointed(ALICE, number, keccak256(guardian), end);
        authorizations.appointGuardian(ALICE, guardian, end, "nonce", _soon(), approval);

        _expectRights(GUARDIAN_KEY, end, end);
        VM.warp(end - 1);
        _setFrozenBy(GUARDIAN_KEY, true);
        VM.assertTrue(authorizations.subjectOf(ALICE).frozen, "frozen");
        _setFrozenBy(GUARDIAN_KEY, false);
        VM.warp(end);
        _refusesFreeze(
            _by(GUARDIAN_KEY, Signed.freeze(ALICE, true, "nonce", _soon())), _unauthorized(GUARDIAN_KEY)
        );
        _expectChained();
    }

    /// @dev The same guardian's bytes would join the ids of its wards for everybody who reads the chain.
    function test_no_event_shows_a_guardians_bytes() external {
        _follow();
        _appoint(GUARDIAN_KEY, START + 1 days);
        _setFrozenBy(GUARDIAN_KEY, true);
        _setFrozenBy(GUARDIAN_KEY, false);
        IAuthorizations.Authorization memory terms = _terms();
        AuthorizationId authorization = authorizations.grant(terms, _by(GUARDIAN_KEY, Signed.authorization(terms)));
        _revokeBy(GUARDIAN_KEY, authorization);
        _appoint(GUARDIAN_KEY, 0);
        Vm.Log[] memory logs = _follow();
        VM.assertEq(logs.length, 6, "events");
        for (uint256 i = 0; i < logs.length; ++i) {
            VM.assertTrue(!_contains(logs[i].data, VM.addr(GUARDIAN_KEY)), "bytes");
        }
    }

    function test_a_dismissed_guardian_consents_no_more_at_once() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        bytes memory guardian = _account(GUARDIAN_KEY);
        ISubjects.Approval memory approval = _byAlice(Signed.guardian(ALICE, guardian, 0, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.GuardianDismissed(ALICE, number, keccak256(guardian), START + RECOVERY_DELAY);
        authorizations.appointGuardian(ALICE, guardian, 0, "nonce", _soon(), approval);

        _expectRights(GUARDIAN_KEY, 0, START + RECOVERY_DELAY);
        IAuthorizations.Authorization memory terms = _terms();
        approval = _by(GUARDIAN_KEY, Signed.authorization(terms));
        _refused(_unauthorized(GUARDIAN_KEY));
        authorizations.grant(terms, approval);
        _expectChained();
    }

    function test_a_guardian_ends_with_the_key_that_appointed_him() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _recover();
        _expectRights(GUARDIAN_KEY, 0, _now() + RECOVERY_DELAY);
    }

    function test_an_unknown_person_has_no_guardian() external {
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.rightsOf(NOBODY, _account(GUARDIAN_KEY));
    }

    function test_rights_are_the_current_keys_for_ever_and_nobody_elses() external view {
        _expectRights(ALICE_KEY, type(uint64).max, type(uint64).max);
        _expectRights(STRANGER_KEY, 0, 0);
    }

    function test_the_old_key_neither_unfreezes_nor_rotates_nor_appoints_after_a_recovery() external {
        _setFrozen(true);
        _recover();
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, false, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.NotLiftable.selector, ALICE, START + RECOVERY_DELAY));
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
        _refusesRotation(_account(STRANGER_KEY), _soon(), ALICE_KEY, _unauthorized(ALICE_KEY));
        _refusesGuardian(
            _account(STRANGER_KEY),
            _now() + 1,
            _soon(),
            ALICE_KEY,
            _unauthorized(ALICE_KEY)
        );
    }

    function testFuzz_no_signature_of_another_key_counts(uint256 key, bytes32 nonce) external {
        key = 1 + key % (2 ** 255);
        VM.assume(key != ALICE_KEY);
        bytes32 structHash = Signed.freeze(ALICE, true, nonce, _soon());
        ISubjects.Approval memory approval = _by(key, structHash);
        _refused(abi.encodeWithSelector(ISubjects.SignerUnauthorized.selector, ALICE, approval.signer));
        authorizations.setFrozen(ALICE, true, nonce, _soon(), approval);
        approval.signer = _account(ALICE_KEY);
        _refused(_invalid());
        authorizations.setFrozen(ALICE, true, nonce, _soon(), approval);
    }

    function _contains(bytes memory data, address account) private pure returns (bool) {
        uint160 window;
        for (uint256 i = 0; i < data.length; ++i) {
            window = (window << 8) | uint8(data[i]);
            if (i >= 19 && window == uint160(account)) return true;
        }
        return false;
    }

    function _expectRights(uint256 key, uint64 consentUntil, uint64 stopUntil) private view {
        (uint64 consent, uint64 stop) = authorizations.rightsOf(ALICE, _account(key));
        VM.assertEq(consent, consentUntil, "consent");
        VM.assertEq(stop, stopUntil, "stop");
    }

    function _people(SubjectId subject, bytes memory signer)
        private
        pure
        returns (SubjectId[] memory subjects, bytes[] memory signers)
    {
        subjects = new SubjectId[](1);
        subjects[0] = subject;
        signers = new bytes[](1);
        signers[0] = signer;
    }

    function _invalid() private pure returns (bytes memory) {
        return abi.encodeWithSelector(ISubjects.InvalidSignature.selector, _account(ALICE_KEY));
    }

    function _refusesPerson(SubjectId subject, bytes memory signer, bytes memory reason) private {
        (SubjectId[] memory subjects, bytes[] memory signers) = _people(subject, signer);
        _refused(reason);
        VM.prank(identity);
        authorizations.registerSubjects(subjects, signers);
    }

    function _refusesFreeze(ISubjects.Approval memory approval, bytes memory reason) private {
        _refused(reason);
        authorizations.setFrozen(ALICE, true, "nonce", _soon(), approval);
    }

    function _refusesRotation(bytes memory newSigner, uint64 deadline, uint256 key, bytes memory reason) private {
        ISubjects.Approval memory approval = _by(key, Signed.rotation(ALICE, newSigner, "nonce", deadline));
        _refused(reason);
        authorizations.rotateSigner(ALICE, newSigner, "nonce", deadline, approval);
    }

    function _refusesGuardian(
        bytes memory guardian,
        uint64 expiresAt,
        uint64 deadline,
        uint256 key,
        bytes memory reason
    ) private {
        bytes32 structHash = Signed.guardian(ALICE, guardian, expiresAt, "nonce", deadline);
        ISubjects.Approval memory approval = _by(key, structHash);
        _refused(reason);
        authorizations.appointGuardian(ALICE, guardian, expiresAt, "nonce", deadline, approval);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {AuthorizationId, Outcome, Role, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

contract RecoveryTest is Fixture {
    SubjectId private constant NOBODY = SubjectId.wrap("nobody");

    // startRecovery

    function test_only_the_identity_authority_starts_a_recovery() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        authorizations.startRecovery(ALICE, _account(NEW_KEY));
    }

    /// @dev Another identity authority could take a stranger's id otherwise.
    function test_only_the_registrar_starts_a_recovery() external {
        _admitLater(stranger, Role.IdentityAuthority);
        _refused(abi.encodeWithSelector(ISubjects.NotRegistrar.selector, stranger, ALICE));
        VM.prank(stranger);
        authorizations.startRecovery(ALICE, _account(NEW_KEY));
        _withdrawParty(identity);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, identity));
        VM.prank(identity);
        authorizations.startRecovery(ALICE, _account(NEW_KEY));
    }

    function test_a_closed_id_is_not_recovered() external {
        _close();
        _refused(abi.encodeWithSelector(ISubjects.SubjectIsClosed.selector, ALICE));
        VM.prank(identity);
        authorizations.startRecovery(ALICE, _account(NEW_KEY));
    }

    function test_only_a_known_person_is_recovered() external {
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        VM.prank(identity);
        authorizations.startRecovery(NOBODY, _account(NEW_KEY));
    }

    function test_one_recovery_at_a_time() external {
        _startRecovery(_account(NEW_KEY));
        _refused(abi.encodeWithSelector(ISubjects.RecoveryPending.selector, ALICE));
        VM.prank(identity);
        authorizations.startRecovery(ALICE, _account(STRANGER_KEY));
    }

    function test_a_recovery_is_to_a_signer() external {
        _refused(abi.encodeWithSelector(ISubjects.SignerTooShort.selector, 0));
        VM.prank(identity);
        authorizations.startRecovery(ALICE, "");
    }

    function test_a_recovery_freezes_at_once() external {
        AuthorizationId authorization = _granted();
        uint64 number = _emits(authorizations);
        emit ISubjects.RecoveryStarted(ALICE, number, _account(NEW_KEY), START + RECOVERY_DELAY);
        _startRecovery(_account(NEW_KEY));

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertEq(state.recoveryAt, START + RECOVERY_DELAY, "recoveryAt");
        VM.assertEq(state.signer, _account(ALICE_KEY), "signer");
        VM.assertEq(state.pendingSigner, _account(NEW_KEY), "pending signer");
        _expect(_use(authorization), Outcome.Frozen);
        _expectChained();
    }

    function test_unfreezing_does_not_end_a_recovery() external {
        AuthorizationId authorization = _granted();
        _setFrozen(true);
        _startRecovery(_account(NEW_KEY));
        _setFrozen(false);
        _expect(_use(authorization), Outcome.Frozen);
    }

    // vetoRecovery

    function test_only_a_pending_recovery_is_vetoed() external {
        _refusesVeto(
            _account(NEW_KEY),
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.RecoveryNotPending.selector, ALICE)
        );
    }

    function test_a_veto_names_the_key_that_it_refuses() external {
        _startRecovery(_account(NEW_KEY));
        _refusesVeto(
            _account(STRANGER_KEY),
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.RecoveryNotPending.selector, ALICE)
        );
    }

    function test_a_veto_comes_before_the_recovery_is_due() external {
        _startRecovery(_account(NEW_KEY));
        VM.warp(START + RECOVERY_DELAY);
        _refusesVeto(
            _account(NEW_KEY),
            _soon(),
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.RecoveryDue.selector, ALICE, START + RECOVERY_DELAY)
        );
    }

    function test_a_veto_is_relayed_before_its_deadline() external {
        _startRecovery(_account(NEW_KEY));
        _refusesVeto(
            _account(NEW_KEY),
            START - 1,
            ALICE_KEY,
            abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1)
        );
    }

    function test_the_new_key_does_not_veto() external {
        _startRecovery(_account(NEW_KEY));
        _refusesVeto(_account(NEW_KEY), _soon(), NEW_KEY, _unauthorized(NEW_KEY));
    }

    function test_a_veto_is_used_once() external {
        bytes32 structHash = Signed.veto(ALICE, _account(NEW_KEY), "nonce", _soon());
        _startRecovery(_account(NEW_KEY));
        authorizations.vetoRecovery(ALICE, _account(NEW_KEY), "nonce", _soon(), _byAlice(structHash));
        _startRecovery(_account(NEW_KEY));
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        _refusesVeto(
            _account(NEW_KEY), _soon(), ALICE_KEY, abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest)
        );
    }

    function test_the_old_key_vetoes_a_recovery_that_is_not_its_owners() external {
        AuthorizationId authorization = _granted();
        _startRecovery(_account(NEW_KEY));
        VM.warp(START + RECOVERY_DELAY - 1);
        ISubjects.Approval memory approval =
            _byAlice(Signed.veto(ALICE, _account(NEW_KEY), "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.RecoveryVetoed(ALICE, number, _account(NEW_KEY));
        authorizations.vetoRecovery(ALICE, _account(NEW_KEY), "nonce", _soon(), approval);

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertEq(state.recoveryAt, 0, "recoveryAt");
        VM.assertEq(state.pendingSigner, "", "pending signer");
        VM.assertEq(state.signer, _account(ALICE_KEY), "signer");
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    // completeRecovery

    function test_only_a_known_person_completes() external {
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        authorizations.completeRecovery(NOBODY);
    }

    function test_only_a_pending_recovery_is_completed() external {
        _refused(abi.encodeWithSelector(ISubjects.RecoveryNotPending.selector, ALICE));
        authorizations.completeRecovery(ALICE);
    }

    function test_a_recovery_waits_for_its_delay() external {
        _startRecovery(_account(NEW_KEY));
        VM.warp(START + RECOVERY_DELAY - 1);
        _refused(
            abi.encodeWithSelector(ISubjects.RecoveryNotDue.selector, ALICE, START + RECOVERY_DELAY)
        );
        authorizations.completeRecovery(ALICE);
    }

    /// @dev Whoever stole its key would else take every id whose owner looked away, in spite of the withdrawal.
    function test_what_a_withdrawn_authority_started_its_successor_alone_completes() external {
        address successor = VM.addr(0x1e);
        _startRecovery(_account(NEW_KEY));
        _withdrawParty(identity);
        VM.warp(START + RECOVERY_DELAY);
        _completesNot(stranger, abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        _completesNot(identity, abi.encodeWithSelector(IRegistry.PartyInactive.selector, identity));
        _admitLater(successor, Role.IdentityAuthority);
        _completesNot(successor, abi.encodeWithSelector(ISubjects.NotRegistrar.selector, successor, ALICE));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Successor, identity, successor);
        VM.warp(_now() + ADMISSION_DELAY);
        registry.makeChange(IRegistry.Change.Successor, identity, successor);
        _completesNot(stranger, abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(successor);
        authorizations.completeRecovery(ALICE);
        VM.assertEq(authorizations.subjectOf(ALICE).signer, _account(NEW_KEY), "signer");
        _expectChained();
    }

    function test_what_a_withdrawn_authority_started_is_vetoed_also_when_it_is_due() external {
        _startRecovery(_account(NEW_KEY));
        _withdrawParty(identity);
        VM.warp(START + RECOVERY_DELAY + 1 days);
        _veto(ALICE_KEY, NEW_KEY);
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(state.recoveryAt == 0 && state.epoch == 0, "state");
    }

    function test_anyone_completes_a_due_recovery_and_the_old_grants_stay_frozen() external {
        AuthorizationId authorization = _granted();
        _startRecovery(_account(NEW_KEY));
        VM.warp(START + RECOVERY_DELAY);
        uint64 number = _emits(authorizations);
        emit ISubjects.RecoveryCompleted(ALICE, number, _account(NEW_KEY), 1, START + RECOVERY_DELAY + 365 days);
        VM.prank(stranger);
        authorizations.completeRecovery(ALICE);

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertEq(state.signer, _account(NEW_KEY), "signer");
        VM.assertEq(state.pendingSigner, "", "pending signer");
        VM.assertTrue(state.epoch == 1 && state.recoveryAt == 0, "state");
        _expect(_use(authorization), Outcome.Frozen);
        _expectChained();
    }

    function _refusesVeto(bytes memory newSigner, uint64 deadline, uint256 key, bytes memory reason) private {
        ISubjects.Approval memory approval = _by(key, Signed.veto(ALICE, newSigner, "nonce", deadline));
        _refused(reason);
        authorizations.vetoRecovery(ALICE, newSigner, "nonce", deadline, approval);
    }

    function _completesNot(address by, bytes memory reason) private {
        _refused(reason);
        VM.prank(by);
        authorizations.completeRecovery(ALICE);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {AuthorizationId, Outcome, Role, SubjectId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title Who may stop, who may start again, and when: the table of ISubjects, row by row.
contract StopsTest is Fixture {
    SubjectId private constant NOBODY = SubjectId.wrap("nobody");
    uint256 private constant THIEF_KEY = 0x741ef;
    address private immutable otherIdentity = VM.addr(0x1e);

    // revoke, freeze: who may stop

    function test_a_current_key_and_a_guardian_stop() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        _stops(ALICE_KEY);
        _stops(GUARDIAN_KEY);
        _stopsNot(STRANGER_KEY);
    }

    function test_a_rotated_key_stops_for_thirty_days() external {
        _rotate(ALICE_KEY, NEW_KEY);
        _expectRights(ALICE_KEY, 0, START + 30 days);
        VM.warp(START + 30 days - 1);
        _stops(ALICE_KEY);
        VM.warp(START + 30 days);
        _stopsNot(ALICE_KEY);
    }

    function test_a_recovered_key_stops_for_a_year() external {
        _recover();
        uint64 end = START + RECOVERY_DELAY + 365 days;
        _expectRights(ALICE_KEY, 0, end);
        VM.warp(end - 1);
        _stops(ALICE_KEY);
        VM.warp(end);
        _stopsNot(ALICE_KEY);
    }

    function test_a_key_replaced_twice_stops_until_the_later_end() external {
        _recover(); // a year
        uint64 end = _now() + 365 days;
        _rotate(NEW_KEY, ALICE_KEY);
        _expectRights(ALICE_KEY, type(uint64).max, type(uint64).max);
        _rotate(ALICE_KEY, THIEF_KEY); // thirty days
        _expectRights(ALICE_KEY, 0, end);
    }

    function test_a_rotation_to_the_same_key_takes_nothing_from_it() external {
        _rotate(ALICE_KEY, ALICE_KEY);
        _expectRights(ALICE_KEY, type(uint64).max, type(uint64).max);
        _stops(ALICE_KEY);
    }

    // guardians' time to stop

    function test_a_guardian_whose_time_is_over_stops_nothing() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        VM.warp(START + 1 days);
        _stopsNot(GUARDIAN_KEY);
    }

    function test_a_dismissed_guardian_stops_for_the_delay() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, 0);
        _guardianStopsFor(START + RECOVERY_DELAY);
    }

    function test_a_guardian_stops_for_the_delay_after_a_rotation() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _rotate(ALICE_KEY, NEW_KEY);
        _guardianStopsFor(START + RECOVERY_DELAY);
    }

    function test_a_guardian_stops_for_the_delay_after_a_recovery() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _recover();
        _guardianStopsFor(START + 2 * RECOVERY_DELAY);
    }

    function test_a_guardian_stops_no_longer_than_he_was_appointed_for_after_a_rotation() external {
        _appoint(GUARDIAN_KEY, START + 1 days);
        _rotate(ALICE_KEY, NEW_KEY);
        _guardianStopsFor(START + 1 days);
    }

    /// @dev A thief would give an earlier end instead of dismissing.
    function test_a_guardian_with_a_shortened_appointment_stops_for_the_delay() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, START + 1);
        _expectRights(GUARDIAN_KEY, START + 1, START + RECOVERY_DELAY);
        VM.warp(START + 1);
        _guardianStopsFor(START + RECOVERY_DELAY);
    }

    function test_a_dismissed_guardian_keeps_his_time_when_the_thief_rotates_too() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, 0);
        VM.warp(START + 1 days);
        _rotate(ALICE_KEY, THIEF_KEY);
        _guardianStopsFor(START + RECOVERY_DELAY);
    }

    function test_a_guardian_of_an_earlier_key_dismissed_by_the_next_stops_for_the_delay() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _rotate(ALICE_KEY, THIEF_KEY);
        VM.warp(START + 1 days);
        _appointBy(THIEF_KEY, GUARDIAN_KEY, 0);
        _guardianStopsFor(START + 1 days + RECOVERY_DELAY);
    }

    function test_dismissing_a_stranger_gives_him_nothing() external {
        _appoint(STRANGER_KEY, 0);
        _expectRights(STRANGER_KEY, 0, 0);
        _appoint(GUARDIAN_KEY, START + 1 days);
        VM.warp(START + 1 days);
        _appoint(GUARDIAN_KEY, 0); // long over
        _expectRights(GUARDIAN_KEY, 0, 0);
    }

    function test_a_guardian_appointed_anew_by_the_next_key_consents() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _rotate(ALICE_KEY, NEW_KEY);
        _appointBy(NEW_KEY, GUARDIAN_KEY, START + 9 days);
        _expectRights(GUARDIAN_KEY, START + 9 days, START + 9 days);
        _expect(_use(_grantBy(GUARDIAN_KEY)), Outcome.Allowed);
    }

    // freeze: state

    function test_a_freeze_by_a_guardian_is_his_to_lift() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozenBy(GUARDIAN_KEY, true);
        _expectFreeze(GUARDIAN_KEY, START + RECOVERY_DELAY);
        _liftsNot(ALICE_KEY, START + RECOVERY_DELAY);
        _setFrozenBy(GUARDIAN_KEY, false);
        _expectUnfrozen();
    }

    function test_a_guardians_freeze_is_lifted_by_the_current_key_after_the_delay() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozenBy(GUARDIAN_KEY, true);
        VM.warp(START + RECOVERY_DELAY - 1);
        _liftsNot(ALICE_KEY, START + RECOVERY_DELAY);
        VM.warp(START + RECOVERY_DELAY);
        _liftsNot(STRANGER_KEY, START + RECOVERY_DELAY);
        _setFrozen(false);
        _expectUnfrozen();
    }

    function test_a_guardian_does_not_lift_the_persons_freeze() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozen(true);
        VM.warp(START + RECOVERY_DELAY);
        _liftsNot(GUARDIAN_KEY, START + RECOVERY_DELAY);
        _setFrozen(false);
    }

    function test_a_former_guardian_lifts_not_even_his_own_freeze() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozenBy(GUARDIAN_KEY, true);
        _appoint(GUARDIAN_KEY, 0);
        _liftsNot(GUARDIAN_KEY, START + RECOVERY_DELAY);
        VM.warp(START + RECOVERY_DELAY);
        _liftsNot(GUARDIAN_KEY, START + RECOVERY_DELAY);
    }

    /// @dev Twice the delay at most: dismissed at once, frozen in the last second, lifted a delay later.
    function test_a_guardian_who_turned_bad_halts_for_twice_the_delay_at_most() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, 0);
        VM.warp(START + RECOVERY_DELAY - 1);
        _setFrozenBy(GUARDIAN_KEY, true);
        _expectFrozenByNobody(START + 2 * RECOVERY_DELAY - 1);
        VM.warp(START + 2 * RECOVERY_DELAY - 1);
        _setFrozen(false);
        _stopsNot(GUARDIAN_KEY);
    }

    function test_a_replaced_key_lifts_nothing_and_its_freeze_lasts_for_its_stop_time() external {
        _rotate(ALICE_KEY, THIEF_KEY);
        _setFrozenBy(ALICE_KEY, true);
        _expectFrozenByNobody(START + 30 days);
        _liftsNot(ALICE_KEY, START + 30 days);
        _liftsNot(THIEF_KEY, START + 30 days);
        VM.warp(START + 30 days - 1);
        _liftsNot(THIEF_KEY, START + 30 days);
        VM.warp(START + 30 days);
        _liftsNot(ALICE_KEY, START + 30 days);
        _setFrozenBy(THIEF_KEY, false);
        _expectUnfrozen();
    }

    function test_a_recovered_keys_freeze_lasts_for_its_year() external {
        _recover();
        _setFrozenBy(ALICE_KEY, true);
        _expectFrozenByNobody(START + RECOVERY_DELAY + 365 days);
        _liftsNot(NEW_KEY, START + RECOVERY_DELAY + 365 days);
    }

    // A thief who rotated the person's key away has it too, and gives it rights again.

    function test_a_replaced_keys_freeze_is_not_lifted_by_making_it_current_again() external {
        _rotate(ALICE_KEY, THIEF_KEY);
        _setFrozenBy(ALICE_KEY, true);
        _rotate(THIEF_KEY, ALICE_KEY);
        _liftsNot(ALICE_KEY, START + 30 days);
        _setFrozenBy(ALICE_KEY, true); // and freezing anew makes it nobody's own
        _liftsNot(ALICE_KEY, START + 30 days);
        _rotate(ALICE_KEY, STRANGER_KEY);
        _liftsNot(STRANGER_KEY, START + 30 days);
        VM.warp(START + 30 days);
        _setFrozenBy(STRANGER_KEY, false);
    }

    function test_a_replaced_keys_freeze_is_not_lifted_by_making_it_a_guardian() external {
        _rotate(ALICE_KEY, THIEF_KEY);
        _setFrozenBy(ALICE_KEY, true);
        _appointBy(THIEF_KEY, ALICE_KEY, START + 365 days);
        _liftsNot(ALICE_KEY, START + 30 days);
        VM.warp(START + 30 days);
        _liftsNot(ALICE_KEY, START + 30 days);
    }

    function test_a_replaced_key_that_was_made_a_guardian_before_it_froze_lifts_nothing() external {
        _rotate(ALICE_KEY, THIEF_KEY);
        _appointBy(THIEF_KEY, ALICE_KEY, START + 365 days);
        _setFrozenBy(ALICE_KEY, true);
        _expectFrozenByNobody(START + 30 days);
        _liftsNot(ALICE_KEY, START + 30 days);
        _rotate(THIEF_KEY, ALICE_KEY);
        _liftsNot(ALICE_KEY, START + 30 days);
    }

    /// @dev The freeze was its own to lift; replaced, it lifts nothing, also when it may consent again.
    function test_a_key_that_froze_and_was_replaced_then_lifts_nothing_as_a_guardian() external {
        _setFrozen(true);
        _rotate(ALICE_KEY, THIEF_KEY);
        _appointBy(THIEF_KEY, ALICE_KEY, START + 365 days);
        _liftsNot(ALICE_KEY, START + RECOVERY_DELAY);
    }

    function test_a_former_guardians_freeze_is_not_his_when_he_is_appointed_again() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, 0);
        _setFrozenBy(GUARDIAN_KEY, true);
        _expectFrozenByNobody(START + RECOVERY_DELAY);
        _appoint(GUARDIAN_KEY, START + 365 days);
        _liftsNot(GUARDIAN_KEY, START + RECOVERY_DELAY);
    }

    /// @dev Once its stop time is over it is a guardian as any other.
    function test_a_guardian_that_was_a_key_long_ago_lifts_his_own_freeze() external {
        _rotate(ALICE_KEY, NEW_KEY);
        _appointBy(NEW_KEY, ALICE_KEY, START + 365 days);
        VM.warp(START + 30 days);
        _setFrozenBy(ALICE_KEY, true);
        _expectFreeze(ALICE_KEY, START + 30 days + RECOVERY_DELAY);
        _setFrozenBy(ALICE_KEY, false);
        _expectUnfrozen();
    }

    /// @dev What it froze while it was the current key is not lifted by it afterwards, and by the next one only a delay later.
    function test_a_freeze_stays_over_a_rotation() external {
        _setFrozen(true);
        _rotate(ALICE_KEY, THIEF_KEY);
        _expectFreeze(ALICE_KEY, START + RECOVERY_DELAY);
        _liftsNot(THIEF_KEY, START + RECOVERY_DELAY);
        _liftsNot(ALICE_KEY, START + RECOVERY_DELAY);
        _setFrozenBy(ALICE_KEY, true); // and now for as long as it may stop
        _expectFrozenByNobody(START + 30 days);
    }

    function test_a_freeze_stays_over_a_recovery_and_its_veto() external {
        _setFrozen(true);
        _startRecovery(_account(NEW_KEY));
        _veto(ALICE_KEY, NEW_KEY);
        _expectFreeze(ALICE_KEY, START + RECOVERY_DELAY);
        _recover();
        _expectFreeze(ALICE_KEY, START + RECOVERY_DELAY);
        _setFrozenBy(NEW_KEY, false); // it is liftable by then
        _expectUnfrozen();
    }

    function test_a_freeze_by_two_is_nobodys_and_the_later_time_counts() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozen(true);
        VM.warp(START + 1 days);
        _setFrozenBy(GUARDIAN_KEY, true);
        _expectFrozenByNobody(START + 1 days + RECOVERY_DELAY);
        _liftsNot(ALICE_KEY, START + 1 days + RECOVERY_DELAY);
        _liftsNot(GUARDIAN_KEY, START + 1 days + RECOVERY_DELAY);
        VM.warp(START + 2 days);
        _setFrozen(true); // nobody's it stays
        _expectFrozenByNobody(START + 2 days + RECOVERY_DELAY);
        VM.warp(START + 2 days + RECOVERY_DELAY);
        _liftsNot(GUARDIAN_KEY, START + 2 days + RECOVERY_DELAY);
        _setFrozen(false);
        _expectUnfrozen();
    }

    function test_a_second_freeze_never_makes_it_liftable_earlier() external {
        _rotate(ALICE_KEY, NEW_KEY);
        _setFrozenBy(ALICE_KEY, true);
        _setFrozenBy(NEW_KEY, true);
        _expectFrozenByNobody(START + 30 days);
    }

    function test_frozen_twice_by_the_same_it_is_still_his() external {
        _setFrozen(true);
        VM.warp(START + 1 days);
        _setFrozen(true);
        _expectFreeze(ALICE_KEY, START + 1 days + RECOVERY_DELAY);
        _setFrozen(false);
        _expectUnfrozen();
    }

    function test_a_freeze_after_a_lifted_one_begins_anew() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _setFrozen(true);
        _setFrozen(false);
        _setFrozenBy(GUARDIAN_KEY, true);
        _expectFreeze(GUARDIAN_KEY, START + RECOVERY_DELAY);
    }

    function test_what_is_not_frozen_is_not_lifted() external {
        ISubjects.Approval memory approval = _byAlice(Signed.freeze(ALICE, false, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.NotFrozen.selector, ALICE));
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
    }

    function test_one_freezes_and_revokes_always() external {
        AuthorizationId first = _granted();
        AuthorizationId second = _granted();
        _startRecovery(_account(NEW_KEY));
        _setFrozen(true);
        _revoke(first);
        _close();
        _setFrozen(true);
        _revoke(second);
        _expect(_use(second), Outcome.Revoked);
    }

    // rotate, recover

    function test_one_rotates_while_frozen() external {
        _setFrozen(true);
        _rotate(ALICE_KEY, NEW_KEY);
        VM.assertEq(authorizations.subjectOf(ALICE).signer, _account(NEW_KEY), "signer");
    }

    function test_a_frozen_id_is_recovered() external {
        _setFrozen(true);
        _recover();
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(state.epoch == 1 && state.frozen, "state");
    }

    function test_neither_a_guardian_nor_a_replaced_key_vetoes() external {
        _rotate(ALICE_KEY, NEW_KEY);
        _appointBy(NEW_KEY, GUARDIAN_KEY, START + 365 days);
        _startRecovery(_account(THIEF_KEY));
        uint256[2] memory keys = [ALICE_KEY, GUARDIAN_KEY];
        for (uint256 i = 0; i < 2; ++i) {
            ISubjects.Approval memory approval =
                _by(keys[i], Signed.veto(ALICE, _account(THIEF_KEY), "nonce", _soon()));
            _refused(_unauthorized(keys[i]));
            authorizations.vetoRecovery(ALICE, _account(THIEF_KEY), "nonce", _soon(), approval);
        }
    }

    /// @dev The authority replaces the key while the person is away; the person stops with the replaced one, and a second recovery
    /// does not help.
    function test_after_two_recoveries_in_a_row_the_first_keys_freeze_stays() external {
        AuthorizationId authorization = _granted();
        _recover();
        _setFrozen(true);
        uint64 end = START + RECOVERY_DELAY + 365 days;
        _startRecovery(_account(THIEF_KEY));
        VM.warp(_now() + RECOVERY_DELAY);
        authorizations.completeRecovery(ALICE);
        _expectFrozenByNobody(end);
        _liftsNot(THIEF_KEY, end);
        _expect(_use(authorization), Outcome.Frozen);
    }

    // close, open

    function test_only_the_registrar_closes() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        authorizations.closeSubject(ALICE);
        _admitLater(otherIdentity, Role.IdentityAuthority);
        _refused(abi.encodeWithSelector(ISubjects.NotRegistrar.selector, otherIdentity, ALICE));
        VM.prank(otherIdentity);
        authorizations.closeSubject(ALICE);
    }

    function test_only_a_known_person_is_closed() external {
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        VM.prank(identity);
        authorizations.closeSubject(NOBODY);
    }

    function test_an_id_is_closed_once() external {
        _close();
        _refused(abi.encodeWithSelector(ISubjects.SubjectIsClosed.selector, ALICE));
        _close();
    }

    function test_a_closed_id_is_halted_at_once_and_its_recovery_ends() external {
        AuthorizationId authorization = _granted();
        _startRecovery(_account(THIEF_KEY));
        uint64 number = _emits(authorizations);
        emit ISubjects.SubjectClosed(ALICE, number);
        _close();

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(state.closed && state.recoveryAt == 0, "state");
        VM.assertEq(state.pendingSigner, "", "pending signer");
        _expect(_use(authorization), Outcome.Frozen);
        VM.warp(START + RECOVERY_DELAY);
        _refused(abi.encodeWithSelector(ISubjects.RecoveryNotPending.selector, ALICE));
        authorizations.completeRecovery(ALICE);
        _expectChained();
    }

    function test_only_a_closed_id_is_opened() external {
        ISubjects.Approval memory approval = _byAlice(Signed.opening(ALICE, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.SubjectNotClosed.selector, ALICE));
        VM.prank(identity);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);
    }

    function test_the_current_key_alone_opens_nothing() external {
        _close();
        ISubjects.Approval memory approval = _byAlice(Signed.opening(ALICE, "nonce", _soon()));
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(stranger);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);
    }

    function test_the_registrar_alone_opens_nothing() external {
        _appoint(GUARDIAN_KEY, START + 365 days);
        _rotate(ALICE_KEY, NEW_KEY);
        _appointBy(NEW_KEY, GUARDIAN_KEY, START + 365 days);
        _close();
        uint256[3] memory keys = [ALICE_KEY, GUARDIAN_KEY, STRANGER_KEY];
        for (uint256 i = 0; i < 3; ++i) {
            _refusesOpening(keys[i], _soon(), _unauthorized(keys[i]));
        }
        ISubjects.Approval memory approval = _by(STRANGER_KEY, Signed.opening(ALICE, "nonce", _soon()));
        approval.signer = _account(NEW_KEY);
        _refused(abi.encodeWithSelector(ISubjects.InvalidSignature.selector, approval.signer));
        VM.prank(identity);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);
    }

    function test_an_opening_is_relayed_before_its_deadline() external {
        _close();
        _refusesOpening(ALICE_KEY, START - 1, abi.encodeWithSelector(ISubjects.DeadlinePassed.selector, START - 1));
    }

    function test_an_opening_is_used_once() external {
        _close();
        bytes32 structHash = Signed.opening(ALICE, "nonce", _soon());
        ISubjects.Approval memory approval = _byAlice(structHash);
        VM.prank(identity);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);
        _close();
        bytes32 digest = Signed.digest(address(authorizations), structHash);
        _refusesOpening(ALICE_KEY, _soon(), abi.encodeWithSelector(ISubjects.AlreadyUsed.selector, digest));
    }

    function test_registrar_and_current_key_together_open_it_and_a_freeze_stays() external {
        AuthorizationId authorization = _granted();
        _setFrozen(true);
        _close();
        ISubjects.Approval memory approval = _byAlice(Signed.opening(ALICE, "nonce", _soon()));
        uint64 number = _emits(authorizations);
        emit ISubjects.SubjectOpened(ALICE, number);
        VM.prank(identity);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);

        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(!state.closed && state.frozen, "state");
        _expect(_use(authorization), Outcome.Frozen);
        _setFrozen(false);
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    // endLinks

    function test_only_the_registrar_ends_links() external {
        _admitLater(otherIdentity, Role.IdentityAuthority);
        _refused(abi.encodeWithSelector(ISubjects.NotRegistrar.selector, otherIdentity, ALICE));
        VM.prank(otherIdentity);
        authorizations.endLinks(ALICE);
        _refused(abi.encodeWithSelector(ISubjects.SubjectUnknown.selector, NOBODY));
        VM.prank(identity);
        authorizations.endLinks(NOBODY);
    }

    function test_links_end_with_the_blocks_time_and_no_other() external {
        VM.warp(START + 1 hours);
        uint64 number = _emits(authorizations);
        emit ISubjects.LinksEnded(ALICE, number, START + 1 hours);
        VM.prank(identity);
        authorizations.endLinks(ALICE);
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertEq(state.linksFrom, START + 1 hours, "linksFrom");
        VM.assertTrue(state.number == 1 && state.registrar == identity, "beside it");
        VM.warp(START + 2 hours);
        VM.prank(identity);
        authorizations.endLinks(ALICE);
        VM.assertEq(authorizations.subjectOf(ALICE).linksFrom, START + 2 hours, "again");
        _expect(_use(_granted()), Outcome.Allowed);
        _expectChained();
    }

    // the registrar's successor

    function test_a_successor_acts_for_a_withdrawn_registrar_and_for_its_subjects_alone() external {
        _succeed();
        _withdrawParty(identity);
        VM.prank(otherIdentity);
        authorizations.endLinks(ALICE);
        VM.prank(otherIdentity);
        authorizations.startRecovery(ALICE, _account(NEW_KEY));
        VM.prank(otherIdentity);
        authorizations.closeSubject(ALICE);
        ISubjects.Approval memory approval = _byAlice(Signed.opening(ALICE, "nonce", _soon()));
        VM.prank(otherIdentity);
        authorizations.openSubject(ALICE, "nonce", _soon(), approval);
        VM.assertEq(authorizations.subjectOf(ALICE).registrar, identity, "registrar stays on record");
        _expectChained();
    }

    function test_a_registrar_does_not_act_for_its_successors_subjects() external {
        _succeed();
        SubjectId[] memory subjects = new SubjectId[](1);
        subjects[0] = BOB;
        bytes[] memory signers = new bytes[](1);
        signers[0] = _account(STRANGER_KEY);
        VM.prank(otherIdentity);
        authorizations.registerSubjects(subjects, signers);
        _refused(abi.encodeWithSelector(ISubjects.NotRegistrar.selector, identity, BOB));
        VM.prank(identity);
        authorizations.closeSubject(BOB);
    }

    function test_a_withdrawn_successor_does_nothing() external {
        _succeed();
        _withdrawParty(otherIdentity);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, otherIdentity));
        VM.prank(otherIdentity);
        authorizations.closeSubject(ALICE);
    }

    function _succeed() private {
        _admitLater(otherIdentity, Role.IdentityAuthority);
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Successor, identity, otherIdentity);
        VM.warp(_now() + ADMISSION_DELAY);
        registry.makeChange(IRegistry.Change.Successor, identity, otherIdentity);
    }

    /// @dev It freezes, and revokes before a grant, which changes nothing else of what a test looks at.
    function _stops(uint256 key) private {
        _revokeBy(key, AuthorizationId.wrap(_random()));
        uint256 before = VM.snapshotState();
        _setFrozenBy(key, true);
        VM.assertTrue(authorizations.subjectOf(ALICE).frozen, "frozen");
        VM.revertToState(before);
    }

    function _stopsNot(uint256 key) private {
        ISubjects.Approval memory approval = _by(key, Signed.freeze(ALICE, true, "nonce", _soon()));
        _refused(_unauthorized(key));
        authorizations.setFrozen(ALICE, true, "nonce", _soon(), approval);
        AuthorizationId none = AuthorizationId.wrap("none");
        approval = _by(key, Signed.revocation(ALICE, none, _soon()));
        _refused(_unauthorized(key));
        authorizations.revoke(ALICE, none, _soon(), approval);
    }

    /// @dev A former guardian: stops until then, and consents no more.
    function _guardianStopsFor(uint64 end) private {
        (uint64 consentUntil, uint64 stopUntil) = authorizations.rightsOf(ALICE, _account(GUARDIAN_KEY));
        VM.assertTrue(consentUntil <= _now() && stopUntil == end, "rights");
        IAuthorizations.Authorization memory terms = _terms();
        ISubjects.Approval memory approval = _by(GUARDIAN_KEY, Signed.authorization(terms));
        _refused(_unauthorized(GUARDIAN_KEY));
        authorizations.grant(terms, approval);
        VM.warp(end - 1);
        _stops(GUARDIAN_KEY);
        VM.warp(end);
        _stopsNot(GUARDIAN_KEY);
    }

    function _liftsNot(uint256 key, uint64 liftableAt) private {
        ISubjects.Approval memory approval = _by(key, Signed.freeze(ALICE, false, "nonce", _soon()));
        _refused(abi.encodeWithSelector(ISubjects.NotLiftable.selector, ALICE, liftableAt));
        authorizations.setFrozen(ALICE, false, "nonce", _soon(), approval);
    }

    function _refusesOpening(uint256 key, uint64 deadline, bytes memory reason) private {
        ISubjects.Approval memory approval = _by(key, Signed.opening(ALICE, "nonce", deadline));
        _refused(reason);
        VM.prank(identity);
        authorizations.openSubject(ALICE, "nonce", deadline, approval);
    }

    function _grantBy(uint256 key) private returns (AuthorizationId) {
        IAuthorizations.Authorization memory terms = _terms();
        return authorizations.grant(terms, _by(key, Signed.authorization(terms)));
    }

    function _expectFreeze(uint256 key, uint64 liftableAt) private view {
        _expectFrozen(keccak256(_account(key)), liftableAt);
    }

    function _expectFrozenByNobody(uint64 liftableAt) private view {
        _expectFrozen(0, liftableAt);
    }

    function _expectFrozen(bytes32 by, uint64 liftableAt) private view {
        ISubjects.SubjectState memory state = authorizations.subjectOf(ALICE);
        VM.assertTrue(state.frozen, "frozen");
        VM.assertEq(state.frozenBy, by, "by whom");
        VM.assertEq(state.liftableAt, liftableAt, "liftable at");
    }

    function _expectUnfrozen() private view {
        VM.assertTrue(!authorizations.subjectOf(ALICE).frozen, "frozen");
    }

    function _expectRights(uint256 key, uint64 consentUntil, uint64 stopUntil) private view {
        (uint64 consent, uint64 stop) = authorizations.rightsOf(ALICE, _account(key));
        VM.assertEq(consent, consentUntil, "consent");
        VM.assertEq(stop, stopUntil, "stop");
    }
}

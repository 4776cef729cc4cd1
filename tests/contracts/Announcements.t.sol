// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title What is announced is put off by nobody, lapses, can be retracted but for a hand-over, and ends with who announced it.
contract AnnouncementsTest is Fixture {
    uint64 private constant DUE = START + ADMISSION_DELAY;
    uint64 private constant LAPSE = DUE + ADMISSION_DELAY;
    IRegistry.Change private constant AUTHORITY = IRegistry.Change.Authority;
    address private immutable next = VM.addr(0xb1);
    address private immutable thief = VM.addr(0xb2);
    address private immutable otherIdentity = VM.addr(0x1e);

    // put off

    /// @dev A thief of the bureau's key announces the rightful hand-over every day.
    function test_a_change_announced_again_is_due_no_later() external {
        _announce(AUTHORITY, next);
        for (uint64 day = 0; day <= 2; ++day) {
            VM.warp(START + day * 1 days);
            _refused(abi.encodeWithSelector(IRegistry.AlreadyAnnounced.selector, DUE));
            _announce(AUTHORITY, next);
            VM.assertEq(registry.changeDueAt(AUTHORITY, next, address(0)), DUE, "due");
        }
        _take(next);
        VM.assertEq(registry.authority(), next, "authority");
    }

    function test_an_admission_announced_again_is_due_no_later() external {
        _admit(otherIdentity, Role.IdentityAuthority);
        for (uint64 day = 0; day <= 2; ++day) {
            VM.warp(START + day * 1 days);
            _refusesAdmission(Role.IdentityAuthority);
            _refusesAdmission(Role.Regulator);
        }
        registry.activate(otherIdentity);
        VM.assertTrue(registry.isActive(otherIdentity, Role.IdentityAuthority), "active");
    }

    function test_an_admission_with_a_role_that_waits_for_nothing_does_not_push_it_away() external {
        _admit(otherIdentity, Role.IdentityAuthority);
        _refusesAdmission(Role.Provider);
        VM.warp(LAPSE - 1);
        _refusesAdmission(Role.Provider);
        registry.activate(otherIdentity);
        VM.assertEq(registry.standingOf(otherIdentity).roles, _bit(Role.IdentityAuthority), "as announced");
    }

    function test_what_was_vetoed_can_be_announced_again() external {
        _announce(AUTHORITY, next);
        VM.prank(regulator);
        registry.vetoChange(AUTHORITY, next, address(0), "not yet");
        VM.warp(START + 1);
        _announce(AUTHORITY, next);
        VM.assertEq(registry.changeDueAt(AUTHORITY, next, address(0)), DUE + 1, "due");
    }

    // lapse

    function test_a_hand_over_that_was_not_taken_lapses() external {
        _announce(AUTHORITY, next);
        VM.warp(LAPSE);
        VM.assertEq(registry.changeDueAt(AUTHORITY, next, address(0)), 0, "due");
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, DUE));
        _take(next);
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, DUE));
        VM.prank(regulator);
        registry.vetoChange(AUTHORITY, next, address(0), "late");
        // Anew, with its delay.
        _announce(AUTHORITY, next);
        _refused(abi.encodeWithSelector(IRegistry.NotEffectiveYet.selector, LAPSE + ADMISSION_DELAY));
        _take(next);
        VM.warp(LAPSE + ADMISSION_DELAY);
        _take(next);
        VM.assertEq(registry.authority(), next, "authority");
    }

    function test_a_hand_over_is_taken_until_its_last_second() external {
        _announce(AUTHORITY, next);
        VM.warp(LAPSE - 1);
        VM.assertEq(registry.changeDueAt(AUTHORITY, next, address(0)), DUE, "due");
        _take(next);
        VM.assertEq(registry.authority(), next, "authority");
    }

    function test_verifiers_and_successors_lapse_too() external {
        _admitLater(otherIdentity, Role.IdentityAuthority);
        uint64 due = _now() + ADMISSION_DELAY;
        _announce(IRegistry.Change.Verifier, address(catalogue));
        _announceSuccessor();
        VM.warp(due + ADMISSION_DELAY);
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, due));
        registry.makeChange(IRegistry.Change.Verifier, address(catalogue), address(0));
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, due));
        registry.makeChange(IRegistry.Change.Successor, identity, otherIdentity);
    }

    function test_an_admission_that_was_not_taken_lapses() external {
        _admit(otherIdentity, Role.Regulator);
        VM.warp(LAPSE);
        VM.assertEq(registry.admissionOf(otherIdentity).effectiveAt, 0, "due");
        VM.assertEq(registry.admissionOf(otherIdentity).roles, 0, "roles");
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, DUE));
        registry.activate(otherIdentity);
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, DUE));
        VM.prank(authority);
        registry.retractAdmission(otherIdentity);
        // Nothing stands against another one, and that leaves nothing of it.
        _admit(otherIdentity, Role.Consumer);
        VM.assertTrue(registry.isActive(otherIdentity, Role.Consumer), "at once");
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.activate(otherIdentity);
        _expectChained();
    }

    function test_a_trial_without_a_delay_leaves_an_hour_to_take_it() external {
        IRegistry trial = _trial(0);
        VM.prank(authority);
        trial.announceChange(AUTHORITY, next, address(0));
        VM.warp(START + 1 hours - 1);
        VM.assertEq(trial.changeDueAt(AUTHORITY, next, address(0)), START, "pending");
        VM.warp(START + 1 hours);
        _refused(abi.encodeWithSelector(IRegistry.Lapsed.selector, START));
        VM.prank(next);
        trial.makeChange(AUTHORITY, next, address(0));
    }

    // retracted

    function test_only_the_authority_retracts() external {
        _admit(otherIdentity, Role.IdentityAuthority);
        _announce(IRegistry.Change.Verifier, address(catalogue));
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, regulator));
        VM.prank(regulator);
        registry.retractAdmission(otherIdentity);
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, regulator));
        VM.prank(regulator);
        registry.retractChange(IRegistry.Change.Verifier, address(catalogue), address(0));
    }

    function test_what_was_not_announced_is_not_retracted() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(authority);
        registry.retractAdmission(otherIdentity);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(authority);
        registry.retractChange(IRegistry.Change.Verifier, address(catalogue), address(0));
    }

    /// @dev Also of a party that was never admitted, which `withdraw` does not know; and also when it is due.
    function test_a_retracted_admission_does_not_take_effect() external {
        _admit(otherIdentity, Role.IdentityAuthority);
        VM.warp(DUE);
        uint64 number = _emits(registry);
        emit IRegistry.AdmissionRetracted(otherIdentity, number);
        VM.prank(authority);
        registry.retractAdmission(otherIdentity);
        VM.assertEq(registry.admissionOf(otherIdentity).effectiveAt, 0, "pending");
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.activate(otherIdentity);
        _admit(otherIdentity, Role.Consumer);
        VM.assertTrue(registry.isActive(otherIdentity, Role.Consumer), "another one at once");
        _expectChained();
    }

    function test_a_retracted_change_is_not_made() external {
        address verifier = address(catalogue);
        _announce(IRegistry.Change.Verifier, verifier);
        VM.warp(DUE);
        uint64 number = _emits(registry);
        emit IRegistry.ChangeRetracted(IRegistry.Change.Verifier, verifier, address(0), number);
        VM.prank(authority);
        registry.retractChange(IRegistry.Change.Verifier, verifier, address(0));
        VM.assertEq(registry.changeDueAt(IRegistry.Change.Verifier, verifier, address(0)), 0, "pending");
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.makeChange(IRegistry.Change.Verifier, verifier, address(0));
        _expectChained();
    }

    /// @dev Else a thief of the bureau's key would retract the hand-over by which it loses it.
    function test_a_hand_over_is_not_retracted() external {
        _announce(AUTHORITY, next);
        _refused(abi.encodeWithSelector(IRegistry.HandOverStands.selector, next));
        VM.prank(authority);
        registry.retractChange(AUTHORITY, next, address(0));
        VM.warp(DUE);
        _take(next);
        VM.assertEq(registry.authority(), next, "authority");
    }

    // the end of a term

    function test_an_authority_is_not_handed_to_itself() external {
        _refused(abi.encodeWithSelector(IRegistry.AlreadyAuthority.selector, authority));
        _announce(AUTHORITY, authority);
    }

    /// @dev All that a thief of the bureau's key can have pending, after the rightful hand-over.
    function test_nothing_that_a_thief_announced_counts_after_the_hand_over() external {
        _announce(AUTHORITY, next);
        _admit(thief, Role.Regulator);
        _admit(otherIdentity, Role.IdentityAuthority);
        _announce(AUTHORITY, thief);
        _announce(IRegistry.Change.Verifier, address(catalogue));
        VM.warp(DUE);
        _take(next);

        _expectsNothingPending();
        // Its own announcements are the next authority's, with their delay.
        VM.prank(next);
        registry.admit(thief, _bit(Role.Regulator), _nameOf(thief));
        VM.assertEq(registry.admissionOf(thief).effectiveAt, LAPSE, "anew");
        VM.prank(next);
        registry.retractAdmission(thief);
        VM.prank(next);
        registry.admit(thief, _bit(Role.Consumer), _nameOf(thief));
        VM.assertTrue(registry.isActive(thief, Role.Consumer), "at once");
    }

    /// @dev In a term of its own: what it announced in the first one is over, though the address is the same.
    function test_nothing_counts_again_when_an_authority_comes_back() external {
        _announce(AUTHORITY, next);
        VM.warp(DUE - 1);
        _admit(thief, Role.Regulator);
        _admit(otherIdentity, Role.IdentityAuthority);
        _announce(AUTHORITY, thief);
        _announce(IRegistry.Change.Verifier, address(catalogue));
        VM.warp(DUE);
        _take(next);
        VM.prank(next);
        registry.announceChange(AUTHORITY, authority, address(0));
        VM.warp(LAPSE);
        _take(authority);
        VM.assertEq(registry.authority(), authority, "back");
        _expectsNothingPending();
    }

    function _expectsNothingPending() private {
        VM.assertEq(registry.admissionOf(thief).effectiveAt, 0, "regulator");
        VM.assertEq(registry.admissionOf(otherIdentity).effectiveAt, 0, "identity authority");
        VM.assertEq(registry.changeDueAt(AUTHORITY, thief, address(0)), 0, "authority");
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.activate(thief);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.activate(otherIdentity);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        _take(thief);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.makeChange(IRegistry.Change.Verifier, address(catalogue), address(0));
    }

    function _announce(IRegistry.Change change, address first) private {
        VM.prank(authority);
        registry.announceChange(change, first, address(0));
    }

    function _announceSuccessor() private {
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Successor, identity, otherIdentity);
    }

    function _take(address by) private {
        VM.prank(by);
        registry.makeChange(AUTHORITY, by, address(0));
    }

    function _refusesAdmission(Role role) private {
        _refused(abi.encodeWithSelector(IRegistry.AlreadyAnnounced.selector, DUE));
        _admit(otherIdentity, role);
    }

    function _trial(uint64 delay) private returns (IRegistry) {
        IRegistry.Founder[] memory nobody = new IRegistry.Founder[](0);
        return IRegistry(_create("Registry", abi.encode(authority, true, delay, nobody, new address[](0))));
    }
}

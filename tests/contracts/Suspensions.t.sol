// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {AgreementId, AuthorizationId, Outcome, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title What a machine may stop: one agreement, for half an hour, and not again before a person looked.
contract SuspensionsTest is Fixture {
    AgreementId private constant NO_AGREEMENT = AgreementId.wrap("none");
    uint64 private constant UNTIL = START + 30 minutes;
    address private immutable machine = VM.addr(0x3ac);

    // appointSupervisor, dismissSupervisor

    function test_only_a_regulator_appoints_a_supervisor() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        agreements.appointSupervisor(machine);
    }

    function test_nobody_is_no_supervisor() external {
        _refused(abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, address(0)));
        VM.prank(regulator);
        agreements.appointSupervisor(address(0));
    }

    function test_only_a_regulator_dismisses_a_supervisor() external {
        _appointMachine();
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, machine));
        VM.prank(machine);
        agreements.dismissSupervisor(machine);
    }

    function test_only_a_supervisor_is_dismissed() external {
        _refused(abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, machine));
        VM.prank(regulator);
        agreements.dismissSupervisor(machine);
    }

    function test_a_regulator_appoints_its_machine_and_any_regulator_dismisses_it() external {
        uint64 number = _emits(agreements);
        emit IAgreements.SupervisorAppointed(machine, regulator, number);
        _appointMachine();
        VM.assertEq(agreements.supervisorOf(machine), regulator, "whose");
        number = _emits(agreements);
        emit IAgreements.SupervisorDismissed(machine, otherRegulator, number);
        VM.prank(otherRegulator);
        agreements.dismissSupervisor(machine);
        VM.assertEq(agreements.supervisorOf(machine), address(0), "whose now");
        _refusesSuspension(landForLoan, abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, machine));
        _expectChained();
    }

    // suspendAgreement

    function test_only_a_supervisor_suspends() external {
        _refusesSuspension(landForLoan, abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, machine));
        _refused(abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, regulator));
        VM.prank(regulator);
        agreements.suspendAgreement(landForLoan, "too much, too fast");
    }

    function test_a_supervisor_ends_with_its_regulator() external {
        _appointMachine();
        _withdrawParty(regulator);
        _refusesSuspension(landForLoan, abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, machine));
    }

    /// @dev SECURITY.md says so: who is admitted again is the same party.
    function test_a_supervisor_counts_again_with_its_regulator_unless_another_one_dismissed_it() external {
        _appointMachine();
        _withdrawParty(regulator);
        _admitLater(regulator, Role.Regulator);
        VM.assertEq(agreements.supervisorOf(machine), regulator, "supervisor");
        _suspend();

        _withdrawParty(regulator);
        VM.prank(otherRegulator);
        agreements.dismissSupervisor(machine);
        _admitLater(regulator, Role.Regulator);
        _refusesSuspension(landForLoan, abi.encodeWithSelector(IAgreements.SupervisorUnknown.selector, machine));
    }

    function test_only_a_known_agreement_is_suspended() external {
        _appointMachine();
        _refusesSuspension(
            NO_AGREEMENT, abi.encodeWithSelector(IAgreements.AgreementUnknown.selector, NO_AGREEMENT)
        );
    }

    function test_only_an_active_agreement_is_suspended() external {
        _appointMachine();
        VM.prank(bank);
        agreements.withdrawAgreement(landForLoan, "no need");
        _refusesSuspension(
            landForLoan, abi.encodeWithSelector(IAgreements.AgreementInactive.selector, landForLoan)
        );
    }

    function test_a_suspension_has_a_reason() external {
        _appointMachine();
        _refused(abi.encodeWithSelector(IAgreements.EmptyReason.selector));
        VM.prank(machine);
        agreements.suspendAgreement(landForLoan, "");
    }

    function test_a_suspension_stops_one_agreement_for_half_an_hour() external {
        AuthorizationId authorization = _granted();
        _agree(INSURER_KEY, land, loan, AGREED_FIELDS);
        _appointMachine();
        uint64 number = _emits(agreements);
        emit IAgreements.AgreementSuspended(landForLoan, machine, number, UNTIL, "too much, too fast");
        _suspend();

        IAgreements.AgreementState memory state = agreements.agreementOf(landForLoan);
        VM.assertTrue(!state.active && state.suspensionUnseen && state.suspendedUntil == UNTIL, "state");
        VM.assertTrue(agreements.agreementOf(agreements.agreementId(insurer, land, loan)).active, "another one");
        VM.assertEq(registry.standingOf(bank).restrictedUntil, 0, "restriction");
        _expect(_use(authorization), Outcome.AgreementInactive);
        VM.warp(UNTIL - 1);
        _expect(_use(authorization), Outcome.AgreementInactive);
        VM.warp(UNTIL);
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    function test_nothing_is_granted_under_a_suspended_agreement() external {
        _appointMachine();
        _suspend();
        _refused(abi.encodeWithSelector(IAgreements.AgreementInactive.selector, landForLoan));
        agreements.requireWithinBounds(bank, land, loan, 1, 1 days, 1, 0);
    }

    function test_a_machine_suspends_once_until_a_person_looked() external {
        _appointMachine();
        _suspend();
        VM.warp(UNTIL);
        _refusesSuspension(
            landForLoan, abi.encodeWithSelector(IAgreements.SuspensionUnseen.selector, landForLoan)
        );
        // Another machine of another regulator neither.
        VM.prank(otherRegulator);
        agreements.appointSupervisor(stranger);
        _refused(abi.encodeWithSelector(IAgreements.SuspensionUnseen.selector, landForLoan));
        VM.prank(stranger);
        agreements.suspendAgreement(landForLoan, "too much, too fast");
        _review(0);
        _suspend();
        VM.assertTrue(!agreements.agreementOf(landForLoan).active, "suspended again");
    }

    function test_a_suspended_agreement_is_not_suspended_further() external {
        _appointMachine();
        _suspend();
        _review(UNTIL);
        _refusesSuspension(
            landForLoan, abi.encodeWithSelector(IAgreements.AgreementInactive.selector, landForLoan)
        );
    }

    /// @dev Neither by approving anew nor by withdrawing first.
    function test_a_provider_does_not_end_a_suspension() external {
        _appointMachine();
        _suspend();
        _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        _expectStillSuspended();
        VM.prank(provider);
        agreements.withdrawAgreement(landForLoan, "no need");
        _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        _expectStillSuspended();
        VM.assertEq(agreements.agreementOf(landForLoan).round, 1, "round");
    }

    // reviewSuspension

    function test_only_a_regulator_looks_at_a_suspension() external {
        _appointMachine();
        _suspend();
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, machine));
        VM.prank(machine);
        agreements.reviewSuspension(landForLoan, 0, "looked at");
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Regulator));
        VM.prank(bank);
        agreements.reviewSuspension(landForLoan, 0, "looked at");
    }

    function test_only_a_known_agreement_is_looked_at() external {
        _refused(abi.encodeWithSelector(IAgreements.AgreementUnknown.selector, NO_AGREEMENT));
        VM.prank(regulator);
        agreements.reviewSuspension(NO_AGREEMENT, 0, "looked at");
    }

    function test_only_what_was_suspended_and_not_looked_at_is_looked_at() external {
        _refused(abi.encodeWithSelector(IAgreements.NotSuspended.selector, landForLoan));
        _review(0);
        _appointMachine();
        _suspend();
        _review(0);
        _refused(abi.encodeWithSelector(IAgreements.NotSuspended.selector, landForLoan));
        _review(0);
    }

    function test_a_look_has_findings() external {
        _appointMachine();
        _suspend();
        _refused(abi.encodeWithSelector(IAgreements.EmptyReason.selector));
        VM.prank(regulator);
        agreements.reviewSuspension(landForLoan, 0, "");
    }

    function test_a_look_ends_a_suspension() external {
        AuthorizationId authorization = _granted();
        _appointMachine();
        _suspend();
        uint64 number = _emits(agreements);
        emit IAgreements.SuspensionReviewed(landForLoan, regulator, number, 0, "looked at");
        _review(0);
        IAgreements.AgreementState memory state = agreements.agreementOf(landForLoan);
        VM.assertTrue(state.active && !state.suspensionUnseen && state.suspendedUntil == 0, "state");
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    function test_a_look_shortens_a_suspension_and_never_lengthens_it() external {
        _appointMachine();
        _suspend();
        _review(UNTIL + 1 days);
        VM.assertEq(agreements.agreementOf(landForLoan).suspendedUntil, UNTIL, "longer");
        VM.warp(UNTIL);
        _suspend();
        _review(UNTIL + 1 minutes);
        VM.assertEq(agreements.agreementOf(landForLoan).suspendedUntil, UNTIL + 1 minutes, "shorter");
        VM.warp(UNTIL + 1 minutes);
        VM.assertTrue(agreements.agreementOf(landForLoan).active, "over");
    }

    function _appointMachine() private {
        VM.prank(regulator);
        agreements.appointSupervisor(machine);
    }

    function _suspend() private {
        VM.prank(machine);
        agreements.suspendAgreement(landForLoan, "too much, too fast");
    }

    function _review(uint64 until) private {
        VM.prank(regulator);
        agreements.reviewSuspension(landForLoan, until, "looked at");
    }

    function _refusesSuspension(AgreementId agreement, bytes memory reason) private {
        _refused(reason);
        VM.prank(machine);
        agreements.suspendAgreement(agreement, "too much, too fast");
    }

    function _expectStillSuspended() private view {
        IAgreements.AgreementState memory state = agreements.agreementOf(landForLoan);
        VM.assertTrue(!state.active && state.suspensionUnseen && state.suspendedUntil == UNTIL, "suspended");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Outcome, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract RegistryTest is Fixture {
    uint64 private constant UNTIL = START + 7 days;

    // admit

    function test_only_the_authority_admits() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, stranger));
        VM.prank(stranger);
        registry.admit(stranger, 1, "us");
    }

    function test_a_party_is_admitted_with_a_role() external {
        _refused(abi.encodeWithSelector(IRegistry.NoRoles.selector, stranger));
        VM.prank(authority);
        registry.admit(stranger, 0, "us");
    }

    function test_a_party_is_admitted_with_roles_that_exist() external {
        _refused(abi.encodeWithSelector(IRegistry.UnknownRoles.selector, uint8(0x41)));
        VM.prank(authority);
        registry.admit(stranger, 0x41, "us");
    }

    function test_a_party_is_admitted_with_a_name() external {
        _refused(abi.encodeWithSelector(IRegistry.EmptyName.selector));
        VM.prank(authority);
        registry.admit(stranger, 1, "");
    }

    function test_a_name_is_its_first_partys_for_ever() external {
        VM.prank(authority);
        registry.admit(stranger, 1, "Water Works");
        _refused(abi.encodeWithSelector(IRegistry.NameTaken.selector, "Water Works", stranger));
        VM.prank(authority);
        registry.admit(VM.addr(NEW_KEY), 1, "Water Works");

        VM.prank(authority);
        registry.admit(stranger, 1, "Water and Sewage Works");
        _withdraw(stranger);
        _refused(abi.encodeWithSelector(IRegistry.NameTaken.selector, "Water Works", stranger));
        VM.prank(authority);
        registry.admit(VM.addr(NEW_KEY), 1, "Water Works");
        VM.assertEq(registry.partyNamed("Water Works"), stranger, "the old name");
        VM.assertEq(registry.partyNamed("Water and Sewage Works"), stranger, "the new name");
        VM.assertEq(registry.partyNamed("Gas Works"), address(0), "nobody's name");

        VM.prank(authority);
        registry.admit(stranger, 1, "Water Works"); // its own still
        _expectChained();
    }

    function test_a_name_that_was_announced_only_is_taken_too() external {
        VM.prank(authority);
        registry.admit(stranger, _bit(Role.Regulator), "Audit Office");
        VM.prank(regulator);
        registry.vetoAdmission(stranger, "not independent");
        _refused(abi.encodeWithSelector(IRegistry.NameTaken.selector, "Audit Office", stranger));
        VM.prank(authority);
        registry.admit(VM.addr(NEW_KEY), 1, "Audit Office");
    }

    function test_an_admitted_party_holds_exactly_its_roles() external {
        uint8 roles = _bit(Role.Consumer) | _bit(Role.Provider);
        uint64 number = _emits(registry);
        emit IRegistry.PartyAdmitted(stranger, number, roles, "Water Works");
        VM.prank(authority);
        registry.admit(stranger, roles, "Water Works");

        IRegistry.Standing memory standing = registry.standingOf(stranger);
        VM.assertEq(standing.roles, roles, "roles");
        VM.assertTrue(standing.active, "active");
        for (uint8 role = 0; role <= uint8(type(Role).max); ++role) {
            bool expected = role == uint8(Role.Consumer) || role == uint8(Role.Provider);
            VM.assertEq(registry.isActive(stranger, Role(role)), expected, "role");
        }
        _expectChained();
    }

    function test_another_admission_changes_the_roles() external {
        VM.prank(authority);
        registry.admit(bank, _bit(Role.Keyholder), "Quancheng Bank");

        VM.assertTrue(registry.isActive(bank, Role.Keyholder), "new role");
        VM.assertTrue(!registry.isActive(bank, Role.Consumer), "old role");
    }

    function test_admission_does_not_lift_a_restriction() external {
        _restrict();
        _admit(bank, Role.Consumer);

        VM.assertEq(registry.standingOf(bank).restrictedUntil, UNTIL, "restriction");
        _expect(_outcome(bank, _request(_granted())), Outcome.ConsumerRestricted);
    }

    // withdraw

    function test_only_the_authority_withdraws() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, regulator));
        VM.prank(regulator);
        registry.withdraw(bank);
    }

    function test_only_a_known_party_is_withdrawn() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(authority);
        registry.withdraw(stranger);
    }

    function test_a_party_is_withdrawn_once() external {
        _withdraw(bank);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, bank));
        VM.prank(authority);
        registry.withdraw(bank);
    }

    function test_a_withdrawn_party_may_do_nothing_until_admitted_again() external {
        uint64 number = _emits(registry);
        emit IRegistry.PartyWithdrawn(recorder, number);
        _withdraw(recorder);

        VM.assertTrue(!registry.isActive(recorder, Role.Recorder), "active");
        VM.assertEq(registry.standingOf(recorder).roles, _bit(Role.Recorder), "roles stay known");
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, recorder));
        registry.requireActive(recorder, Role.Recorder);
        _admit(recorder, Role.Recorder);
        registry.requireActive(recorder, Role.Recorder);
        _expectChained();
    }

    // requireActive

    function test_a_role_is_required_of_its_holder() external {
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Recorder));
        registry.requireActive(bank, Role.Recorder);
    }

    // setEncryptionKey

    function test_only_a_known_party_sets_a_key() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(stranger);
        registry.setEncryptionKey(hex"01ff");
    }

    function test_only_an_active_party_sets_a_key() external {
        _withdraw(bank);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, bank));
        VM.prank(bank);
        registry.setEncryptionKey(hex"01ff");
    }

    function test_a_key_is_more_than_its_suite() external {
        _refused(abi.encodeWithSelector(IRegistry.EmptyEncryptionKey.selector));
        VM.prank(bank);
        registry.setEncryptionKey(hex"01");
    }

    function test_a_party_sets_and_replaces_its_own_key() external {
        VM.prank(bank);
        registry.setEncryptionKey(hex"01aa");
        uint64 number = _emits(registry);
        emit IRegistry.EncryptionKeySet(bank, number, hex"02bbcc");
        VM.prank(bank);
        registry.setEncryptionKey(hex"02bbcc");

        VM.assertEq(registry.encryptionKeyOf(bank), hex"02bbcc", "the bank's");
        VM.assertEq(registry.encryptionKeyOf(insurer), "", "the insurer's");
        _expectChained();
    }

    // nameRecorder, dismissRecorder

    function test_only_a_known_party_names_a_recorder() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(stranger);
        registry.nameRecorder(recorder);
    }

    function test_only_an_active_party_names_a_recorder() external {
        _withdraw(bank);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, bank));
        VM.prank(bank);
        registry.nameRecorder(stranger);
    }

    function test_nobody_is_no_recorder() external {
        VM.assertTrue(!registry.mayRecord(stranger, address(0)), "nobody for a consumer that named none");
        _refused(abi.encodeWithSelector(IRegistry.AlreadyNamed.selector, address(0)));
        _name(bank, address(0));
        _refused(abi.encodeWithSelector(IRegistry.NotNamed.selector, address(0)));
        _dismiss(bank, address(0));
    }

    function test_a_recorder_is_named_once() external {
        _refusesNaming(recorder);
        _name(bank, stranger);
        _refusesNaming(stranger);
        _dismiss(bank, recorder);
        _refusesNaming(stranger); // also when the first place is free
    }

    function test_a_recorder_that_nobody_named_is_not_dismissed() external {
        _refused(abi.encodeWithSelector(IRegistry.NotNamed.selector, stranger));
        _dismiss(bank, stranger);
        _dismiss(bank, recorder);
        _refused(abi.encodeWithSelector(IRegistry.NotNamed.selector, recorder));
        _dismiss(bank, recorder);
    }

    function test_a_consumer_names_several_recorders_for_itself_alone() external {
        address third = VM.addr(NEW_KEY);
        uint64 number = _emits(registry);
        emit IRegistry.RecorderNamed(bank, stranger, number);
        _name(bank, stranger);
        _name(bank, third);

        VM.assertEq(registry.standingOf(bank).recorder, recorder, "the first one");
        VM.assertTrue(_may(bank, recorder) && _may(bank, stranger) && _may(bank, third), "all three");
        VM.assertTrue(!_may(insurer, stranger) && !_may(insurer, third), "for another consumer");
        _expectChained();
    }

    function test_a_naming_is_taken_back_wherever_it_stands_and_the_others_stay() external {
        _name(bank, stranger);
        uint64 number = _emits(registry);
        emit IRegistry.RecorderDismissed(bank, recorder, number);
        _dismiss(bank, recorder);

        VM.assertTrue(!_may(bank, recorder) && _may(bank, stranger), "the first one");
        _name(bank, VM.addr(NEW_KEY)); // takes the first place
        _dismiss(bank, stranger);
        VM.assertTrue(!_may(bank, stranger) && _may(bank, VM.addr(NEW_KEY)), "the second one");
        VM.assertTrue(_may(insurer, recorder), "another consumer's");
        _expectChained();
    }

    function test_a_withdrawn_party_still_takes_a_naming_back() external {
        _withdraw(bank);
        _dismiss(bank, recorder);
        VM.assertTrue(!_may(bank, recorder), "named");
    }

    function test_another_admission_keeps_what_a_consumer_named() external {
        _withdraw(bank);
        _admit(bank, Role.Consumer);
        VM.assertTrue(_may(bank, recorder), "named");
    }

    // restrict

    function test_only_a_regulator_restricts() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        registry.restrict(bank, UNTIL, "odd hours");
    }

    function test_only_a_consumer_is_restricted() external {
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, provider, Role.Consumer));
        VM.prank(regulator);
        registry.restrict(provider, UNTIL, "odd hours");
    }

    function test_a_restriction_ends_in_the_future() external {
        _refused(abi.encodeWithSelector(IRegistry.EndNotInFuture.selector, START));
        VM.prank(regulator);
        registry.restrict(bank, START, "odd hours");
    }

    function test_a_restriction_lasts_five_years_at_most() external {
        uint64 end = START + 5 * 365 days;
        _refused(abi.encodeWithSelector(IRegistry.EndTooFar.selector, end + 1));
        VM.prank(regulator);
        registry.restrict(bank, end + 1, "odd hours");
        VM.prank(regulator);
        registry.restrict(bank, end, "odd hours");
        VM.assertEq(registry.standingOf(bank).restrictedUntil, end, "until");
    }

    function test_a_restriction_has_a_reason() external {
        _refused(abi.encodeWithSelector(IRegistry.EmptyReason.selector));
        VM.prank(regulator);
        registry.restrict(bank, UNTIL, "");
    }

    function test_a_restricted_consumer_is_denied_until_the_end() external {
        uint64 number = _emits(registry);
        emit IRegistry.ConsumerRestricted(bank, regulator, number, UNTIL, "odd hours");
        _restrict();

        VM.assertEq(registry.standingOf(bank).restrictedUntil, UNTIL, "until");
        VM.assertTrue(registry.isActive(bank, Role.Consumer), "still admitted");
        VM.warp(UNTIL - 1);
        _expect(_use(_granted()), Outcome.ConsumerRestricted);
        VM.warp(UNTIL);
        _expect(_use(_granted()), Outcome.Allowed);
        _expectChained();
    }

    function test_a_second_restriction_replaces_the_first() external {
        _restrict();
        VM.prank(regulator);
        registry.restrict(bank, UNTIL + 1, "again");
        VM.assertEq(registry.standingOf(bank).restrictedUntil, UNTIL + 1, "until");
    }

    // appeal

    function test_only_a_restricted_consumer_appeals() external {
        _refused(abi.encodeWithSelector(IRegistry.NotRestricted.selector, bank));
        VM.prank(bank);
        registry.appeal("we were not even open");
    }

    function test_an_appeal_says_why() external {
        _restrict();
        _refused(abi.encodeWithSelector(IRegistry.EmptyReason.selector));
        VM.prank(bank);
        registry.appeal("");
    }

    function test_an_appeal_is_recorded() external {
        _restrict();
        uint64 number = _emits(registry);
        emit IRegistry.RestrictionAppealed(bank, number, "we were not even open");
        VM.prank(bank);
        registry.appeal("we were not even open");
        _expectChained();
    }

    // lift

    function test_only_a_regulator_lifts() external {
        _restrict();
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.Regulator));
        VM.prank(bank);
        registry.lift(bank, "please");
    }

    function test_only_a_restriction_in_force_is_lifted() external {
        _restrict();
        VM.warp(UNTIL);
        _refused(abi.encodeWithSelector(IRegistry.NotRestricted.selector, bank));
        VM.prank(regulator);
        registry.lift(bank, "cleared");
    }

    function test_lifting_has_a_reason() external {
        _restrict();
        _refused(abi.encodeWithSelector(IRegistry.EmptyReason.selector));
        VM.prank(regulator);
        registry.lift(bank, "");
    }

    function test_a_lifted_consumer_is_served_again() external {
        _restrict();
        uint64 number = _emits(registry);
        emit IRegistry.RestrictionLifted(bank, regulator, number, "cleared");
        VM.prank(regulator);
        registry.lift(bank, "cleared");

        VM.assertEq(registry.standingOf(bank).restrictedUntil, 0, "until");
        _expect(_use(_granted()), Outcome.Allowed);
        _expectChained();
    }

    // announce

    function test_only_the_authority_announces() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, stranger));
        VM.prank(stranger);
        registry.announce("AccessLog", address(accessLog));
    }

    function test_an_announcement_has_a_name() external {
        _refused(abi.encodeWithSelector(IRegistry.EmptyName.selector));
        VM.prank(authority);
        registry.announce("", address(accessLog));
    }

    function test_only_a_contract_is_announced() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAContract.selector, stranger));
        VM.prank(authority);
        registry.announce("AccessLog", stranger);
    }

    function test_an_announced_contract_is_known_to_readers_of_events() external {
        uint64 number = _emits(registry);
        emit IRegistry.ContractAnnounced(address(accessLog), number, "AccessLog");
        VM.prank(authority);
        registry.announce("AccessLog", address(accessLog));
        _expectChained();
    }

    function testFuzz_an_unknown_role_is_refused(uint8 roles) external {
        VM.assume(roles > 0x3f);
        _refused(abi.encodeWithSelector(IRegistry.UnknownRoles.selector, roles));
        VM.prank(authority);
        registry.admit(stranger, roles, "us");
    }

    function _restrict() private {
        VM.prank(regulator);
        registry.restrict(bank, UNTIL, "odd hours");
    }

    function _refusesNaming(address by) private {
        _refused(abi.encodeWithSelector(IRegistry.AlreadyNamed.selector, by));
        _name(bank, by);
    }

    function _dismiss(address consumer, address by) private {
        VM.prank(consumer);
        registry.dismissRecorder(by);
    }

    function _may(address consumer, address by) private view returns (bool) {
        return registry.mayRecord(consumer, by);
    }

    function _withdraw(address party) private {
        VM.prank(authority);
        registry.withdraw(party);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Outcome, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract RegistryTest is Fixture {
    uint64 private constant UNTIL = START + 7 days;

    // admit

    function test_only_the_authority_admits() external {
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
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

    function test_an_admitted_party_holds_exactly_its_roles() external {
        uint8 roles = _bit(Role.Consumer) | _bit(Role.Provider);
        VM.expectEmit(address(registry));
        emit IRegistry.PartyAdmitted(stranger, roles, "Water Works");
        VM.prank(authority);
        registry.admit(stranger, roles, "Water Works");

        IRegistry.Standing memory standing = registry.standingOf(stranger);
        VM.assertEq(standing.roles, roles, "roles");
        VM.assertTrue(standing.active, "active");
        for (uint8 role = 0; role <= uint8(type(Role).max); ++role) {
            bool expected = role == uint8(Role.Consumer) || role == uint8(Role.Provider);
            VM.assertEq(registry.isActive(stranger, Role(role)), expected, "role");
        }
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
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, regulator));
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
        VM.expectEmit(address(registry));
        emit IRegistry.PartyWithdrawn(recorder);
        _withdraw(recorder);

        VM.assertTrue(!registry.isActive(recorder, Role.Recorder), "active");
        VM.assertEq(registry.standingOf(recorder).roles, _bit(Role.Recorder), "roles stay known");
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, recorder));
        registry.requireActive(recorder, Role.Recorder);
        _admit(recorder, Role.Recorder);
        registry.requireActive(recorder, Role.Recorder);
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
        VM.expectEmit(address(registry));
        emit IRegistry.EncryptionKeySet(bank, hex"02bbcc");
        VM.prank(bank);
        registry.setEncryptionKey(hex"02bbcc");

        VM.assertEq(registry.encryptionKeyOf(bank), hex"02bbcc", "the bank's");
        VM.assertEq(registry.encryptionKeyOf(insurer), "", "the insurer's");
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

    function test_a_restriction_has_a_reason() external {
        _refused(abi.encodeWithSelector(IRegistry.EmptyReason.selector));
        VM.prank(regulator);
        registry.restrict(bank, UNTIL, "");
    }

    function test_a_restricted_consumer_is_denied_until_the_end() external {
        VM.expectEmit(address(registry));
        emit IRegistry.ConsumerRestricted(bank, regulator, UNTIL, "odd hours");
        _restrict();

        VM.assertEq(registry.standingOf(bank).restrictedUntil, UNTIL, "until");
        VM.assertTrue(registry.isActive(bank, Role.Consumer), "still admitted");
        VM.warp(UNTIL - 1);
        _expect(_use(_granted()), Outcome.ConsumerRestricted);
        VM.warp(UNTIL);
        _expect(_use(_granted()), Outcome.Allowed);
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
        VM.expectEmit(address(registry));
        emit IRegistry.RestrictionAppealed(bank, "we were not even open");
        VM.prank(bank);
        registry.appeal("we were not even open");
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
        VM.expectEmit(address(registry));
        emit IRegistry.RestrictionLifted(bank, regulator, "cleared");
        VM.prank(regulator);
        registry.lift(bank, "cleared");

        VM.assertEq(registry.standingOf(bank).restrictedUntil, 0, "until");
        _expect(_use(_granted()), Outcome.Allowed);
    }

    // announce

    function test_only_the_authority_announces() external {
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
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
        VM.expectEmit(address(registry));
        emit IRegistry.ContractAnnounced("AccessLog", address(accessLog));
        VM.prank(authority);
        registry.announce("AccessLog", address(accessLog));
    }

    // the authority

    function test_the_authority_cannot_resign() external {
        _refused(abi.encodeWithSelector(IRegistry.AuthorityCannotResign.selector));
        VM.prank(authority);
        registry.renounceOwnership();
    }

    function test_nobody_else_resigns_for_the_authority() external {
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        VM.prank(stranger);
        registry.renounceOwnership();
    }

    function test_the_authority_is_handed_over_in_two_steps() external {
        VM.prank(authority);
        registry.transferOwnership(stranger);
        VM.assertEq(registry.authority(), authority, "after the first step");
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, bank));
        VM.prank(bank);
        registry.acceptOwnership();
        VM.prank(stranger);
        registry.acceptOwnership();

        VM.assertEq(registry.authority(), stranger, "after the second step");
        _refused(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, authority));
        VM.prank(authority);
        registry.withdraw(bank);
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

    function _withdraw(address party) private {
        VM.prank(authority);
        registry.withdraw(party);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title What gives the data bureau power over the others is announced, waits, and can be stopped.
contract AdmissionTest is Fixture {
    uint64 private constant DUE = START + ADMISSION_DELAY;
    address private immutable bureausOwn = VM.addr(0xb0);
    address private immutable otherIdentity = VM.addr(0x1e);

    // deployment

    function test_a_deployment_that_is_no_trial_waits_three_days() external {
        IRegistry.Founder[] memory founders = _founders();
        _refused(abi.encodeWithSelector(IRegistry.AdmissionDelayTooShort.selector, 3 days - 1));
        this.deploy(authority, false, 3 days - 1, founders);
        IRegistry deployed = this.deploy(authority, false, 3 days, founders);
        VM.assertTrue(!deployed.TRIAL() && deployed.ADMISSION_DELAY() == 3 days, "no trial");
    }

    function test_a_deployment_that_is_no_trial_begins_with_two_regulators() external {
        IRegistry.Founder[] memory founders = new IRegistry.Founder[](1);
        founders[0] = IRegistry.Founder(regulator, _bit(Role.Regulator), "a regulator");
        _refused(abi.encodeWithSelector(IRegistry.RegulatorsTooFew.selector, 1));
        this.deploy(authority, false, 3 days, founders);
        this.deploy(authority, true, 3 days, founders);
    }

    function test_two_regulators_are_two_parties() external {
        IRegistry.Founder[] memory founders = new IRegistry.Founder[](2);
        founders[0] = IRegistry.Founder(regulator, _bit(Role.Regulator), "a regulator");
        founders[1] = IRegistry.Founder(regulator, _bit(Role.Regulator), "another name");
        _refused(abi.encodeWithSelector(IRegistry.RegulatorsTooFew.selector, 1));
        this.deploy(authority, false, 3 days, founders);
        founders[1] = IRegistry.Founder(otherRegulator, _bit(Role.Regulator), "a regulator");
        _refused(abi.encodeWithSelector(IRegistry.NameTaken.selector, "a regulator", regulator));
        this.deploy(authority, false, 3 days, founders);
    }

    function test_a_trial_says_so_and_may_wait_for_nothing() external {
        IRegistry deployed = this.deploy(authority, true, 0, new IRegistry.Founder[](0));
        VM.assertTrue(deployed.TRIAL() && deployed.ADMISSION_DELAY() == 0, "a trial");
        VM.prank(authority);
        deployed.admit(regulator, _bit(Role.Regulator), "a regulator");
        VM.assertTrue(deployed.isActive(regulator, Role.Regulator), "at once");
    }

    function test_a_deployment_has_an_authority() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, address(0)));
        this.deploy(address(0), true, 0, new IRegistry.Founder[](0));
    }

    function test_a_founding_regulator_is_independent() external {
        IRegistry.Founder[] memory founders = new IRegistry.Founder[](1);
        founders[0] = IRegistry.Founder(authority, _bit(Role.Regulator), "a regulator");
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, authority));
        this.deploy(authority, true, 0, founders);
        founders[0] = IRegistry.Founder(regulator, _bit(Role.Regulator) | 1, "a regulator");
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, regulator));
        this.deploy(authority, true, 0, founders);
    }

    function test_what_a_deployment_begins_with_is_in_its_events() external {
        VM.assertEq(_emitted[IRegistry.ChangeMade.selector], 2, "authority and verifier");
        VM.assertEq(registry.authority(), authority, "authority");
        VM.assertTrue(registry.isVerifier(passkeyVerifier), "verifier");
        VM.assertTrue(registry.isActive(otherRegulator, Role.Regulator), "regulator");
        VM.assertTrue(registry.isActive(identity, Role.IdentityAuthority), "identity authority");
        _expectChained();
    }

    // a role that waits

    function test_a_regulator_and_an_identity_authority_wait() external {
        uint64 number = _emits(registry);
        emit IRegistry.AdmissionAnnounced(otherIdentity, number, 0x20, _nameOf(otherIdentity), DUE);
        _admit(otherIdentity, Role.IdentityAuthority);
        IRegistry.Admission memory announced = registry.admissionOf(otherIdentity);
        VM.assertTrue(announced.roles == 0x20 && announced.effectiveAt == DUE, "announced");
        VM.assertTrue(!registry.isActive(otherIdentity, Role.IdentityAuthority), "before");
        _refusesActivation(otherIdentity, abi.encodeWithSelector(IRegistry.NotEffectiveYet.selector, DUE));
        VM.warp(DUE - 1);
        _refusesActivation(otherIdentity, abi.encodeWithSelector(IRegistry.NotEffectiveYet.selector, DUE));

        VM.warp(DUE);
        number = _emits(registry);
        emit IRegistry.PartyAdmitted(otherIdentity, number, 0x20, _nameOf(otherIdentity));
        VM.prank(stranger); // anyone
        registry.activate(otherIdentity);
        VM.assertTrue(registry.isActive(otherIdentity, Role.IdentityAuthority), "after");
        VM.assertEq(registry.admissionOf(otherIdentity).effectiveAt, 0, "pending");
        _refusesActivation(otherIdentity, abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        _expectChained();
    }

    function test_other_roles_wait_for_nothing() external {
        for (uint8 role = 0; role <= uint8(type(Role).max); ++role) {
            if (Role(role) == Role.Regulator || Role(role) == Role.IdentityAuthority) continue;
            _admit(stranger, Role(role));
            VM.assertTrue(registry.isActive(stranger, Role(role)), "at once");
        }
    }

    function test_a_role_beside_another_that_waits_waits_too() external {
        VM.prank(authority);
        registry.admit(recorder, 0x28, _nameOf(recorder));
        VM.assertTrue(registry.isActive(recorder, Role.Recorder), "what it has stays");
        VM.assertTrue(!registry.isActive(recorder, Role.IdentityAuthority), "what is new waits");
        VM.warp(DUE);
        registry.activate(recorder);
        VM.assertEq(registry.standingOf(recorder).roles, 0x28, "both");
        // Now it has it, so nothing waits.
        VM.prank(authority);
        registry.admit(recorder, 0x38, _nameOf(recorder));
        VM.assertEq(registry.standingOf(recorder).roles, 0x38, "all three");
    }

    function test_who_was_withdrawn_waits_again() external {
        _withdrawParty(identity);
        VM.prank(authority);
        registry.admit(identity, 0x20, "an identity authority");
        VM.assertTrue(!registry.isActive(identity, Role.IdentityAuthority), "at once");
    }

    function test_a_new_name_waits_for_nothing() external {
        VM.prank(authority);
        registry.admit(regulator, _bit(Role.Regulator), "Audit Office");
        VM.assertEq(registry.partyNamed("Audit Office"), regulator, "name");
        VM.assertEq(registry.admissionOf(regulator).effectiveAt, 0, "pending");
    }

    function test_a_withdrawal_ends_what_was_announced() external {
        _admit(otherIdentity, Role.Consumer);
        _admit(otherIdentity, Role.IdentityAuthority);
        _withdrawParty(otherIdentity);
        VM.warp(DUE);
        _refusesActivation(otherIdentity, abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
    }

    // independence of regulators

    function test_a_regulator_has_no_other_role() external {
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, stranger));
        VM.prank(authority);
        registry.admit(stranger, _bit(Role.Regulator) | _bit(Role.Consumer), "both");
    }

    /// @dev Who says which id is whose, and reads or publishes records itself, would need nobody else.
    function test_an_identity_authority_neither_reads_nor_publishes() external {
        for (uint8 others = 1; others < 4; ++others) {
            _refused(abi.encodeWithSelector(IRegistry.IdentityAuthorityNotIndependent.selector, stranger));
            VM.prank(authority);
            registry.admit(stranger, 0x20 | others, "both");
        }
        _refused(abi.encodeWithSelector(IRegistry.IdentityAuthorityNotIndependent.selector, identity));
        VM.prank(authority);
        registry.admit(identity, 0x22, _nameOf(identity));
        IRegistry.Founder[] memory founders = new IRegistry.Founder[](1);
        founders[0] = IRegistry.Founder(identity, 0x21, "both");
        _refused(abi.encodeWithSelector(IRegistry.IdentityAuthorityNotIndependent.selector, identity));
        this.deploy(authority, true, 0, founders);
    }

    function test_the_authority_is_no_regulator() external {
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, authority));
        VM.prank(authority);
        registry.admit(authority, _bit(Role.Regulator), "us");
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, regulator));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Authority, regulator, address(0));
    }

    function test_who_became_the_authority_meanwhile_is_no_regulator_either() external {
        _admit(stranger, Role.Regulator);
        _announce(IRegistry.Change.Authority, stranger, address(0));
        VM.warp(DUE);
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        _refusesActivation(stranger, abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
    }

    function test_who_became_a_regulator_meanwhile_is_not_the_authority_either() external {
        _announce(IRegistry.Change.Authority, stranger, address(0));
        _admitLater(stranger, Role.Regulator);
        _refused(abi.encodeWithSelector(IRegistry.RegulatorNotIndependent.selector, stranger));
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
    }

    function test_the_last_regulator_is_not_withdrawn() external {
        _withdrawParty(regulator);
        _refused(abi.encodeWithSelector(IRegistry.LastRegulator.selector, otherRegulator));
        VM.prank(authority);
        registry.withdraw(otherRegulator);
        // Nor by giving it another role, which takes the first one.
        _refused(abi.encodeWithSelector(IRegistry.LastRegulator.selector, otherRegulator));
        VM.prank(authority);
        registry.admit(otherRegulator, 1, "another regulator");
        VM.assertTrue(registry.isActive(otherRegulator, Role.Regulator), "still there");
    }

    function test_a_regulator_that_is_not_the_last_is_withdrawn_at_once() external {
        uint64 number = _emits(registry);
        emit IRegistry.PartyWithdrawn(regulator, number);
        _withdrawParty(regulator);
        VM.assertTrue(!registry.isActive(regulator, Role.Regulator), "active");
        VM.assertEq(registry.vetoUntil(regulator), DUE, "veto");
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, regulator));
        VM.prank(regulator);
        registry.restrict(bank, START + 1 days, "nothing but the veto is left");
        _expectChained();
    }

    function test_a_regulator_admitted_anew_counts_again() external {
        _withdrawParty(regulator);
        _admitLater(stranger, Role.Regulator);
        _withdrawParty(otherRegulator);
        _refused(abi.encodeWithSelector(IRegistry.LastRegulator.selector, stranger));
        VM.prank(authority);
        registry.withdraw(stranger);
    }

    // veto of an admission

    function test_only_a_regulator_vetoes() external {
        _admit(bureausOwn, Role.Regulator);
        address[4] memory others = [authority, identity, stranger, bureausOwn];
        for (uint256 i = 0; i < others.length; ++i) {
            _refusesVeto(others[i], abi.encodeWithSelector(IRegistry.NoVeto.selector, others[i]));
        }
    }

    function test_what_was_not_announced_is_not_vetoed() external {
        _refusesVeto(regulator, abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
    }

    function test_a_veto_says_why() external {
        _admit(bureausOwn, Role.Regulator);
        _refused(abi.encodeWithSelector(IRegistry.EmptyReason.selector));
        VM.prank(regulator);
        registry.vetoAdmission(bureausOwn, "");
    }

    function test_what_is_due_is_not_vetoed() external {
        _admit(bureausOwn, Role.Regulator);
        VM.warp(DUE);
        _refusesVeto(regulator, abi.encodeWithSelector(IRegistry.AlreadyEffective.selector, DUE));
    }

    function test_a_vetoed_admission_never_takes_effect() external {
        _admit(bureausOwn, Role.Regulator);
        VM.warp(DUE - 1);
        uint64 number = _emits(registry);
        emit IRegistry.AdmissionVetoed(bureausOwn, regulator, number, "not independent");
        _vetoAdmission(regulator);
        VM.warp(DUE);
        _refusesActivation(bureausOwn, abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.assertEq(registry.standingOf(bureausOwn).roles, 0, "roles");
        _expectChained();
    }

    /// @dev The bureau first withdraws who would object.
    function test_a_withdrawn_regulator_still_vetoes_what_is_announced_now() external {
        _withdrawParty(regulator);
        _admit(bureausOwn, Role.Regulator);
        VM.warp(DUE - 1);
        _vetoAdmission(regulator);
        VM.assertEq(registry.admissionOf(bureausOwn).effectiveAt, 0, "pending");
    }

    /// @dev Who gives it another role instead does not take its veto either.
    function test_a_regulator_with_another_role_since_still_vetoes() external {
        VM.prank(authority);
        registry.admit(regulator, _bit(Role.Provider), "a regulator");
        _admit(bureausOwn, Role.Regulator);
        _vetoAdmission(regulator);
        VM.assertEq(registry.admissionOf(bureausOwn).effectiveAt, 0, "pending");
    }

    /// @dev One stolen key of a regulator must not veto all its successors for ever.
    function test_a_stolen_veto_is_over_after_the_delay() external {
        _admit(stranger, Role.Regulator);
        _withdrawParty(regulator);
        VM.prank(regulator);
        registry.vetoAdmission(stranger, "mine for ever");
        VM.warp(DUE - 1);
        _admit(stranger, Role.Regulator);
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NoVeto.selector, regulator));
        VM.prank(regulator);
        registry.vetoAdmission(stranger, "mine for ever");
        VM.warp(DUE - 1 + ADMISSION_DELAY);
        registry.activate(stranger);
        VM.assertTrue(registry.isActive(stranger, Role.Regulator), "active");
    }

    // the authority

    function test_only_the_authority_announces_a_change() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, regulator));
        VM.prank(regulator);
        registry.announceChange(IRegistry.Change.Authority, stranger, address(0));
    }

    function test_the_authority_cannot_resign() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, address(0)));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Authority, address(0), address(0));
    }

    function test_the_authority_is_handed_to_one() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, stranger));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Authority, stranger, bank);
    }

    function test_the_authority_is_handed_over_after_the_delay_to_who_takes_it() external {
        uint64 number = _emits(registry);
        emit IRegistry.ChangeAnnounced(IRegistry.Change.Authority, stranger, address(0), number, DUE);
        _announce(IRegistry.Change.Authority, stranger, address(0));
        VM.assertEq(registry.changeDueAt(IRegistry.Change.Authority, stranger, address(0)), DUE, "due");
        VM.warp(DUE - 1);
        _refused(abi.encodeWithSelector(IRegistry.NotEffectiveYet.selector, DUE));
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, authority));
        VM.prank(authority);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        VM.assertEq(registry.authority(), authority, "before");

        number = _emits(registry);
        emit IRegistry.ChangeMade(IRegistry.Change.Authority, stranger, address(0), number);
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        VM.assertEq(registry.authority(), stranger, "after");
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, authority));
        VM.prank(authority);
        registry.withdraw(bank);
        _expectChained();
    }

    function test_what_was_not_announced_is_not_made() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        _announce(IRegistry.Change.Authority, bank, address(0));
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
    }

    function test_a_regulator_vetoes_the_hand_over() external {
        _announce(IRegistry.Change.Authority, stranger, address(0));
        _refused(abi.encodeWithSelector(IRegistry.NoVeto.selector, stranger));
        VM.prank(stranger);
        registry.vetoChange(IRegistry.Change.Authority, stranger, address(0), "a thief");
        uint64 number = _emits(registry);
        emit IRegistry.ChangeVetoed(IRegistry.Change.Authority, stranger, address(0), number, regulator, "a thief");
        VM.prank(regulator);
        registry.vetoChange(IRegistry.Change.Authority, stranger, address(0), "a thief");
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        _expectChained();
    }

    function test_what_one_authority_announced_its_successor_did_not() external {
        _announce(IRegistry.Change.Authority, stranger, address(0));
        _announce(IRegistry.Change.Authority, bank, address(0));
        VM.warp(DUE);
        VM.prank(stranger);
        registry.makeChange(IRegistry.Change.Authority, stranger, address(0));
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        VM.prank(bank);
        registry.makeChange(IRegistry.Change.Authority, bank, address(0));
    }

    // verifiers

    function test_a_verifier_has_code_when_announced_and_when_listed() external {
        _refused(abi.encodeWithSelector(IRegistry.NotAContract.selector, stranger));
        _announce(IRegistry.Change.Verifier, stranger, address(0));
        _refused(abi.encodeWithSelector(IRegistry.NotAContract.selector, address(4))); // a precompile
        _announce(IRegistry.Change.Verifier, address(4), address(0));
        VM.etch(stranger, hex"00");
        _announce(IRegistry.Change.Verifier, stranger, address(0));
        VM.etch(stranger, "");
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NotAContract.selector, stranger));
        registry.makeChange(IRegistry.Change.Verifier, stranger, address(0));
    }

    function test_a_verifier_is_listed_alone() external {
        address verifier = address(catalogue);
        _refused(abi.encodeWithSelector(IRegistry.NotAContract.selector, verifier));
        _announce(IRegistry.Change.Verifier, verifier, bank);
    }

    function test_a_verifier_is_listed_after_the_delay_and_stays() external {
        address verifier = address(catalogue);
        _announce(IRegistry.Change.Verifier, verifier, address(0));
        VM.assertTrue(!registry.isVerifier(verifier), "before");
        VM.warp(DUE);
        uint64 number = _emits(registry);
        emit IRegistry.ChangeMade(IRegistry.Change.Verifier, verifier, address(0), number);
        VM.prank(stranger); // anyone
        registry.makeChange(IRegistry.Change.Verifier, verifier, address(0));
        VM.assertTrue(registry.isVerifier(verifier), "after");
        _expectChained();
    }

    function test_a_vetoed_verifier_is_not_listed() external {
        address verifier = address(catalogue);
        _announce(IRegistry.Change.Verifier, verifier, address(0));
        VM.prank(otherRegulator);
        registry.vetoChange(IRegistry.Change.Verifier, verifier, address(0), "it takes any signature");
        VM.warp(DUE);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.makeChange(IRegistry.Change.Verifier, verifier, address(0));
        VM.assertTrue(!registry.isVerifier(verifier), "listed");
    }

    // successors

    function test_only_an_identity_authority_has_a_successor() external {
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, bank, Role.IdentityAuthority));
        _announce(IRegistry.Change.Successor, bank, identity);
    }

    function test_a_successor_is_an_active_identity_authority_when_announced_and_when_made() external {
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, otherIdentity));
        _announce(IRegistry.Change.Successor, identity, otherIdentity);
        _admitLater(otherIdentity, Role.IdentityAuthority);
        _announce(IRegistry.Change.Successor, identity, otherIdentity);
        _withdrawParty(otherIdentity);
        VM.warp(_now() + ADMISSION_DELAY);
        _refused(abi.encodeWithSelector(IRegistry.PartyInactive.selector, otherIdentity));
        registry.makeChange(IRegistry.Change.Successor, identity, otherIdentity);
    }

    function test_a_withdrawn_identity_authority_gets_a_successor_after_the_delay() external {
        _admitLater(otherIdentity, Role.IdentityAuthority);
        _withdrawParty(identity);
        _announce(IRegistry.Change.Successor, identity, otherIdentity);
        VM.assertEq(registry.successorOf(identity), address(0), "before");
        VM.warp(_now() + ADMISSION_DELAY);
        uint64 number = _emits(registry);
        emit IRegistry.ChangeMade(IRegistry.Change.Successor, identity, otherIdentity, number);
        registry.makeChange(IRegistry.Change.Successor, identity, otherIdentity);
        VM.assertEq(registry.successorOf(identity), otherIdentity, "after");
        VM.assertEq(registry.successorOf(otherIdentity), address(0), "of the successor");
        _expectChained();
    }

    function test_a_vetoed_successor_is_none() external {
        _admitLater(otherIdentity, Role.IdentityAuthority);
        _announce(IRegistry.Change.Successor, identity, otherIdentity);
        VM.prank(regulator);
        registry.vetoChange(IRegistry.Change.Successor, identity, otherIdentity, "nobody asked for it");
        VM.warp(_now() + ADMISSION_DELAY);
        _refused(abi.encodeWithSelector(IRegistry.NotAnnounced.selector));
        registry.makeChange(IRegistry.Change.Successor, identity, otherIdentity);
    }

    /// @dev By a call of its own, so that it can be refused as a whole.
    function deploy(address by, bool trial, uint64 delay, IRegistry.Founder[] calldata founders)
        external
        returns (IRegistry)
    {
        return IRegistry(_create("Registry", abi.encode(by, trial, delay, founders, new address[](0))));
    }

    function _announce(IRegistry.Change change, address first, address second) private {
        VM.prank(authority);
        registry.announceChange(change, first, second);
    }

    function _vetoAdmission(address by) private {
        VM.prank(by);
        registry.vetoAdmission(bureausOwn, "not independent");
    }

    function _refusesVeto(address by, bytes memory reason) private {
        _refused(reason);
        _vetoAdmission(by);
    }

    function _refusesActivation(address party, bytes memory reason) private {
        _refused(reason);
        registry.activate(party);
    }
}

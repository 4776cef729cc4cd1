// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {INumbered} from "../../contracts/interfaces/INumbered.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {
    ApplicationId,
    AuthorizationId,
    Class,
    OrderId,
    Role
} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

/// @title No event can be left out: each kind that there is, numbered and chained.
contract NumbersTest is Fixture {
    function test_a_contract_without_events_is_all_zero() external {
        (uint64 count, bytes24 head) = INumbered(_create("Catalogue", abi.encode(registry))).state();
        VM.assertTrue(count == 0 && head == 0, "state");
    }

    /// @dev The rule word by word, for one event of each number of topics.
    function test_the_head_is_the_hash_of_head_topics_and_data() external {
        INumbered numbered = INumbered(_create("Registry", _registryArguments()));
        IRegistry own = IRegistry(address(numbered));
        bytes memory event_ = bytes.concat(
            IRegistry.ChangeMade.selector, bytes32(0), bytes32(uint256(uint160(authority))), bytes32(0)
        );
        bytes24 head = bytes24(keccak256(bytes.concat(bytes24(0), event_, abi.encode(1))));
        _expectState(numbered, 1, head);

        VM.prank(authority);
        own.admit(bank, 2, "Quancheng Bank");
        event_ = bytes.concat(
            IRegistry.PartyAdmitted.selector,
            bytes32(uint256(uint160(bank))),
            abi.encode(2, uint8(2), "Quancheng Bank")
        );
        head = bytes24(keccak256(bytes.concat(head, event_)));
        _expectState(numbered, 2, head);

        VM.prank(bank);
        own.nameRecorder(recorder);
        event_ = bytes.concat(
            IRegistry.RecorderNamed.selector,
            bytes32(uint256(uint160(bank))),
            bytes32(uint256(uint160(recorder))),
            abi.encode(3)
        );
        head = bytes24(keccak256(bytes.concat(head, event_)));
        _expectState(numbered, 3, head);
    }

    function test_what_is_refused_moves_nothing() external {
        (uint64 count, bytes24 head) = registry.state();
        _refused(abi.encodeWithSelector(IRegistry.NotAuthority.selector, stranger));
        VM.prank(stranger);
        registry.withdraw(bank);
        _expectState(registry, count, head);
    }

    function test_every_event_of_the_registry_is_numbered_and_chained() external {
        _admit(stranger, Role.Regulator);
        VM.prank(regulator);
        registry.vetoAdmission(stranger, "not independent");
        _admit(stranger, Role.Regulator);
        VM.prank(authority);
        registry.retractAdmission(stranger);
        _admit(stranger, Role.Consumer);
        _name(bank, stranger);
        VM.prank(bank);
        registry.dismissRecorder(recorder);
        VM.prank(bank);
        registry.setEncryptionKey(hex"01aa");
        VM.prank(regulator);
        registry.restrict(bank, START + 1 days, "odd hours");
        VM.prank(bank);
        registry.appeal("we were not even open");
        VM.prank(regulator);
        registry.lift(bank, "cleared");
        VM.prank(authority);
        registry.announce("AccessLog", address(accessLog));
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Authority, stranger, address(0));
        VM.prank(regulator);
        registry.vetoChange(IRegistry.Change.Authority, stranger, address(0), "a thief");
        VM.prank(authority);
        registry.announceChange(IRegistry.Change.Verifier, address(catalogue), address(0));
        VM.prank(authority);
        registry.retractChange(IRegistry.Change.Verifier, address(catalogue), address(0));
        _withdrawParty(stranger);
        _expectChained();

        bytes32[16] memory selectors = [
            IRegistry.PartyAdmitted.selector,
            IRegistry.AdmissionAnnounced.selector,
            IRegistry.AdmissionVetoed.selector,
            IRegistry.AdmissionRetracted.selector,
            IRegistry.PartyWithdrawn.selector,
            IRegistry.ChangeAnnounced.selector,
            IRegistry.ChangeVetoed.selector,
            IRegistry.ChangeRetracted.selector,
            IRegistry.ChangeMade.selector,
            IRegistry.RecorderNamed.selector,
            IRegistry.RecorderDismissed.selector,
            IRegistry.EncryptionKeySet.selector,
            IRegistry.ConsumerRestricted.selector,
            IRegistry.RestrictionAppealed.selector,
            IRegistry.RestrictionLifted.selector,
            IRegistry.ContractAnnounced.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            _expectEmitted(selectors[i], i);
        }
    }

    function test_every_event_of_the_catalogue_is_numbered_and_chained() external {
        VM.prank(provider);
        catalogue.publish(land, "root", 10, 0, "report");
        VM.prank(provider);
        catalogue.erase(land, "record", 1);
        VM.prank(provider);
        catalogue.reclassify(land, Class.Conditional, Class.NotShared, 4, "core");
        OrderId order = _order(land, Class.Conditional);
        VM.prank(provider);
        catalogue.endOrder(order, "the water is gone");
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
        _expectChained();

        bytes32[9] memory selectors = [
            ICatalogue.DatasetRegistered.selector,
            ICatalogue.DatasetReclassified.selector,
            ICatalogue.DatasetWithdrawn.selector,
            ICatalogue.Published.selector,
            ICatalogue.RecordErased.selector,
            ICatalogue.OrderIssued.selector,
            ICatalogue.OrderCountersigned.selector,
            ICatalogue.OrderEnded.selector,
            ICatalogue.OrderReviewed.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            _expectEmitted(selectors[i], i);
        }
    }

    function test_every_event_of_the_agreements_is_numbered_and_chained() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 1);
        VM.prank(provider);
        agreements.decline(application, "not yours to know");
        VM.prank(regulator);
        agreements.appointSupervisor(stranger);
        VM.prank(stranger);
        agreements.suspendAgreement(landForLoan, "too much, too fast");
        VM.prank(regulator);
        agreements.reviewSuspension(landForLoan, 0, "looked at");
        VM.prank(regulator);
        agreements.dismissSupervisor(stranger);
        VM.prank(bank);
        agreements.withdrawAgreement(landForLoan, "no need");
        VM.prank(authority);
        agreements.retirePurpose(loan);
        _expectChained();

        bytes32[12] memory selectors = [
            IAgreements.PurposeRegistered.selector,
            IAgreements.PurposeFieldsBound.selector,
            IAgreements.PurposeRetired.selector,
            IAgreements.Applied.selector,
            IAgreements.ApplicationDeclined.selector,
            IAgreements.AgreementApproved.selector,
            IAgreements.ConfidentialitySigned.selector,
            IAgreements.AgreementWithdrawn.selector,
            IAgreements.SupervisorAppointed.selector,
            IAgreements.SupervisorDismissed.selector,
            IAgreements.AgreementSuspended.selector,
            IAgreements.SuspensionReviewed.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            _expectEmitted(selectors[i], i);
        }
    }

    function test_every_event_of_the_authorizations_is_numbered_and_chained() external {
        IAuthorizations.Authorization memory terms = _terms();
        AuthorizationId authorization = _grant(terms);
        _use(authorization);
        VM.prank(regulator);
        authorizations.voidAccess(1, terms, uint32(block.timestamp), 0, IAuthorizations.VoidGround.Unsigned, "no signature");
        _appoint(GUARDIAN_KEY, START + 365 days);
        _appoint(GUARDIAN_KEY, 0);
        _setFrozen(true);
        _setFrozen(false);
        _startRecovery(_account(NEW_KEY));
        _veto(ALICE_KEY, NEW_KEY);
        _recover();
        ISubjects.Approval memory approval = _by(NEW_KEY, Signed.confirmation(ALICE, authorization, _soon()));
        authorizations.confirm(ALICE, authorization, _soon(), approval);
        _rotate(NEW_KEY, STRANGER_KEY);
        _revokeBy(STRANGER_KEY, authorization);
        _revokeBy(STRANGER_KEY, AuthorizationId.wrap("before its grant"));
        _close();
        _open(STRANGER_KEY);
        VM.prank(identity);
        authorizations.endLinks(ALICE);
        _expectChained();

        bytes32[16] memory selectors = [
            IAuthorizations.Granted.selector,
            IAuthorizations.Revoked.selector,
            IAuthorizations.Confirmed.selector,
            IAuthorizations.AccessVoided.selector,
            ISubjects.SubjectRegistered.selector,
            ISubjects.SubjectFrozen.selector,
            ISubjects.SubjectUnfrozen.selector,
            ISubjects.SignerRotated.selector,
            ISubjects.GuardianAppointed.selector,
            ISubjects.GuardianDismissed.selector,
            ISubjects.RecoveryStarted.selector,
            ISubjects.RecoveryVetoed.selector,
            ISubjects.RecoveryCompleted.selector,
            ISubjects.SubjectClosed.selector,
            ISubjects.SubjectOpened.selector,
            ISubjects.LinksEnded.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            _expectEmitted(selectors[i], i);
        }
    }

    function _registryArguments() private view returns (bytes memory) {
        return abi.encode(authority, true, uint64(0), new IRegistry.Founder[](0), new address[](0));
    }

    function _expectEmitted(bytes32 selector, uint256 place) private view {
        VM.assertTrue(_emitted[selector] != 0, string.concat("event ", VM.toString(place)));
    }

    function _expectState(INumbered numbered, uint64 count, bytes24 head) private view {
        (uint64 foundCount, bytes24 foundHead) = numbered.state();
        VM.assertEq(foundCount, count, "count");
        VM.assertEq(bytes32(foundHead), bytes32(head), "head");
    }
}

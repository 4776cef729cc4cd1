// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {
    AgreementId,
    ApplicationId,
    AuthorizationId,
    Class,
    DatasetId,
    Outcome,
    PurposeId,
    Role
} from "../../contracts/libraries/Types.sol";
import {ERC1271Wallet} from "./ERC1271Wallet.sol";
import {Fixture} from "./Fixture.sol";
import {Signed} from "./Signed.sol";
import {VM} from "./Vm.sol";

contract AgreementsTest is Fixture {
    uint64 private constant YEAR = START + 365 days;
    ApplicationId private constant NO_APPLICATION = ApplicationId.wrap("none");
    AgreementId private constant NO_AGREEMENT = AgreementId.wrap("none");
    string private constant TEXT = "we keep it secret";

    // applyFor

    function test_only_a_consumer_applies() external {
        _refused(abi.encodeWithSelector(IRegistry.RoleMissing.selector, provider, Role.Consumer));
        VM.prank(provider);
        agreements.applyFor(land, loan, 1, "to decide loans", 0);
    }

    function test_only_an_active_dataset_is_applied_for() external {
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
        _refusesApplication(loan, 1, abi.encodeWithSelector(IAgreements.DatasetInactive.selector, land));
    }

    function test_only_an_active_purpose_is_applied_for() external {
        _retire();
        _refusesApplication(loan, 1, abi.encodeWithSelector(IAgreements.PurposeInactive.selector, loan));
    }

    function test_some_field_is_applied_for() external {
        _refusesApplication(loan, 0, abi.encodeWithSelector(IAgreements.FieldsEmpty.selector));
    }

    function test_fields_of_the_purpose_are_applied_for() external {
        _refusesApplication(
            loan, 1 << 12, abi.encodeWithSelector(IAgreements.FieldsOutsidePurpose.selector, loan, land, 1 << 12)
        );
    }

    function test_an_application_says_why() external {
        _refused(abi.encodeWithSelector(IAgreements.EmptyReason.selector));
        VM.prank(bank);
        agreements.applyFor(land, loan, 1, "", 0);
    }

    function test_an_application_is_made_once() external {
        VM.prank(bank);
        ApplicationId application = agreements.applyFor(land, loan, 1, "to decide loans", 0);
        _refusesApplication(
            loan, 1, abi.encodeWithSelector(IAgreements.ApplicationExists.selector, application)
        );
    }

    function test_an_application_waits_for_the_provider() external {
        bytes32 tag =
            keccak256("Application(address consumer,bytes32 dataset,bytes32 purpose,uint256 fields,bytes32 nonce)");
        ApplicationId expected =
            ApplicationId.wrap(keccak256(abi.encode(tag, bank, land, loan, 0x03, bytes32("nonce"))));
        uint64 number = _emits(agreements);
        emit IAgreements.Applied(expected, bank, land, number, loan, 0x03, "to decide loans", "nonce");
        VM.prank(bank);
        ApplicationId application = agreements.applyFor(land, loan, 0x03, "to decide loans", "nonce");

        VM.assertEq(ApplicationId.unwrap(application), ApplicationId.unwrap(expected), "id");
        IAgreements.Application memory state = agreements.applicationOf(application);
        VM.assertEq(state.consumer, bank, "consumer");
        VM.assertEq(DatasetId.unwrap(state.dataset), DatasetId.unwrap(land), "dataset");
        VM.assertEq(PurposeId.unwrap(state.purpose), PurposeId.unwrap(loan), "purpose");
        VM.assertEq(state.fields, 0x03, "fields");
        VM.assertTrue(!state.decided && !state.signed, "flags");
        _expectChained();
    }

    // approve

    function test_only_a_known_application_is_approved() external {
        _refusesApproval(
            NO_APPLICATION,
            1,
            YEAR,
            abi.encodeWithSelector(IAgreements.ApplicationUnknown.selector, NO_APPLICATION)
        );
    }

    function test_only_the_datasets_provider_approves() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refused(abi.encodeWithSelector(IAgreements.NotProvider.selector, authority, land));
        VM.prank(authority);
        agreements.approve(application, 0x03, YEAR);
    }

    function test_a_withdrawn_provider_approves_nothing() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        VM.prank(authority);
        registry.withdraw(provider);
        _refusesApproval(
            application, 0x03, YEAR, abi.encodeWithSelector(IRegistry.PartyInactive.selector, provider)
        );
    }

    function test_an_application_is_decided_once() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        VM.prank(provider);
        agreements.decline(application, "not yours to know");
        _refusesApproval(
            application, 0x03, YEAR, abi.encodeWithSelector(IAgreements.ApplicationDecided.selector, application)
        );
    }

    function test_some_field_is_approved() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesApproval(application, 0, YEAR, abi.encodeWithSelector(IAgreements.FieldsEmpty.selector));
    }

    function test_no_more_is_approved_than_was_applied_for() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesApproval(
            application,
            0x07,
            YEAR,
            abi.encodeWithSelector(IAgreements.FieldsOutsideApplication.selector, application, 0x07)
        );
    }

    function test_an_approval_ends_in_the_future() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesApproval(
            application, 0x03, START, abi.encodeWithSelector(IAgreements.EndNotInFuture.selector, START)
        );
        uint64 late = uint64(type(uint40).max) + 1;
        _refusesApproval(
            application, 0x03, late, abi.encodeWithSelector(IAgreements.EndNotInFuture.selector, late)
        );
    }

    function test_a_retired_purpose_is_not_approved() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x01);
        _retire();
        _refusesApproval(
            application, 0x01, YEAR, abi.encodeWithSelector(IAgreements.PurposeInactive.selector, loan)
        );
    }

    function test_an_approved_and_signed_agreement_is_active_until_its_end() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        AgreementId expected = agreements.agreementId(insurer, land, loan);
        uint64 number = _emits(agreements);
        emit IAgreements.AgreementApproved(expected, application, number, 2, 0, 0x01, YEAR);
        VM.prank(provider);
        AgreementId agreement = agreements.approve(application, 0x01, YEAR);

        VM.assertTrue(!agreements.agreementOf(agreement).active, "active before the signature");
        _signConfidentiality(INSURER_KEY, application);
        IAgreements.AgreementState memory state = agreements.agreementOf(agreement);
        VM.assertEq(AgreementId.unwrap(state.id), AgreementId.unwrap(expected), "id");
        VM.assertEq(state.number, 2, "number");
        VM.assertEq(state.consumer, insurer, "consumer");
        VM.assertEq(DatasetId.unwrap(state.dataset), DatasetId.unwrap(land), "dataset");
        VM.assertEq(PurposeId.unwrap(state.purpose), PurposeId.unwrap(loan), "purpose");
        VM.assertEq(ApplicationId.unwrap(state.application), ApplicationId.unwrap(application), "application");
        VM.assertEq(state.fields, 0x01, "fields");
        VM.assertEq(state.expiresAt, YEAR, "expiresAt");
        VM.assertTrue(state.active && !state.withdrawn, "flags");
        VM.assertTrue(agreements.applicationOf(application).decided, "decided");
        VM.warp(YEAR);
        VM.assertTrue(!agreements.agreementByNumber(2).active, "active after its end");
        _expectChained();
    }

    function test_another_approval_replaces_the_terms_and_keeps_the_number() external {
        ApplicationId application = _applyFor(BANK_KEY, land, loan, 0x03);
        VM.prank(provider);
        AgreementId agreement = agreements.approve(application, 0x03, YEAR);

        VM.assertEq(AgreementId.unwrap(agreement), AgreementId.unwrap(landForLoan), "id");
        IAgreements.AgreementState memory state = agreements.agreementOf(agreement);
        VM.assertEq(state.number, 1, "number");
        VM.assertEq(state.fields, 0x03, "fields");
        VM.assertTrue(!state.active, "waits for another signature");
    }

    function test_a_narrower_approval_narrows_what_people_granted() external {
        AuthorizationId authorization = _granted();
        _agree(BANK_KEY, land, loan, 0x03);
        _expect(_use(authorization), Outcome.FieldsExceeded);
    }

    function test_an_unknown_agreement_is_all_zero() external view {
        VM.assertEq(agreements.agreementByNumber(7).number, 0, "by number");
        VM.assertEq(agreements.agreementOf(NO_AGREEMENT).number, 0, "by id");
    }

    // decline

    function test_only_the_datasets_provider_declines() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refused(abi.encodeWithSelector(IAgreements.NotProvider.selector, insurer, land));
        VM.prank(insurer);
        agreements.decline(application, "not yours to know");
    }

    function test_declining_has_a_reason() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refused(abi.encodeWithSelector(IAgreements.EmptyReason.selector));
        VM.prank(provider);
        agreements.decline(application, "");
    }

    function test_a_declined_application_makes_no_agreement() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        uint64 number = _emits(agreements);
        emit IAgreements.ApplicationDeclined(application, number, "not yours to know");
        VM.prank(provider);
        agreements.decline(application, "not yours to know");

        VM.assertTrue(agreements.applicationOf(application).decided, "decided");
        AgreementId agreement = agreements.agreementId(insurer, land, loan);
        VM.assertEq(agreements.agreementOf(agreement).number, 0, "number");
        _expectChained();
    }

    // signConfidentiality

    function test_confidentiality_is_signed_for_a_known_application() external {
        _refusesSignature(
            BANK_KEY,
            NO_APPLICATION,
            TEXT,
            _soon(),
            abi.encodeWithSelector(IAgreements.ApplicationUnknown.selector, NO_APPLICATION)
        );
    }

    function test_confidentiality_is_signed_by_the_applicant() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesSignature(
            BANK_KEY,
            application,
            TEXT,
            _soon(),
            abi.encodeWithSelector(IAgreements.ConsumerMismatch.selector, application, bank)
        );
    }

    function test_confidentiality_is_signed_once() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _signConfidentiality(INSURER_KEY, application);
        _refusesSignature(
            INSURER_KEY,
            application,
            TEXT,
            _soon(),
            abi.encodeWithSelector(IAgreements.AlreadySigned.selector, application)
        );
    }

    function test_confidentiality_is_a_text() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesSignature(
            INSURER_KEY, application, "", _soon(), abi.encodeWithSelector(IAgreements.EmptyText.selector)
        );
    }

    function test_confidentiality_is_relayed_before_its_deadline() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        _refusesSignature(
            INSURER_KEY,
            application,
            TEXT,
            START - 1,
            abi.encodeWithSelector(IAgreements.DeadlinePassed.selector, START - 1)
        );
    }

    function test_confidentiality_is_not_signed_by_another_key() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        bytes memory signature = _signature(STRANGER_KEY, insurer, application, TEXT, _soon());
        _refused(abi.encodeWithSelector(IAgreements.InvalidSignature.selector, insurer));
        agreements.signConfidentiality(insurer, application, TEXT, "nonce", _soon(), signature);
    }

    function test_confidentiality_is_not_another_text() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        bytes memory signature = _signature(INSURER_KEY, insurer, application, TEXT, _soon());
        _refused(abi.encodeWithSelector(IAgreements.InvalidSignature.selector, insurer));
        agreements.signConfidentiality(insurer, application, "we tell all", "nonce", _soon(), signature);
    }

    function test_anyone_relays_a_signed_confidentiality() external {
        ApplicationId application = _applyFor(INSURER_KEY, land, loan, 0x03);
        bytes memory signature = _signature(INSURER_KEY, insurer, application, TEXT, _soon());
        uint64 number = _emits(agreements);
        emit IAgreements.ConfidentialitySigned(application, insurer, number, keccak256(bytes(TEXT)), "nonce");
        VM.prank(stranger);
        agreements.signConfidentiality(insurer, application, TEXT, "nonce", _soon(), signature);

        VM.assertTrue(agreements.applicationOf(application).signed, "signed");
        _expectChained();
    }

    function test_a_contract_signs_as_a_consumer() external {
        ERC1271Wallet wallet = new ERC1271Wallet(VM.addr(NEW_KEY));
        _admit(address(wallet), Role.Consumer);
        VM.prank(address(wallet));
        ApplicationId application = agreements.applyFor(land, loan, 1, "to decide loans", 0);
        bytes memory signature = _signature(NEW_KEY, address(wallet), application, TEXT, _soon());
        agreements.signConfidentiality(address(wallet), application, TEXT, "nonce", _soon(), signature);

        VM.assertTrue(agreements.applicationOf(application).signed, "signed");
    }

    // withdrawAgreement

    function test_only_a_known_agreement_is_withdrawn() external {
        _refused(abi.encodeWithSelector(IAgreements.AgreementUnknown.selector, NO_AGREEMENT));
        VM.prank(bank);
        agreements.withdrawAgreement(NO_AGREEMENT, "no need");
    }

    function test_only_its_parties_withdraw_an_agreement() external {
        _refused(abi.encodeWithSelector(IAgreements.NotParty.selector, authority, landForLoan));
        VM.prank(authority);
        agreements.withdrawAgreement(landForLoan, "no need");
    }

    /// @dev A stop waits for nobody, whatever the standing of who stops.
    function test_a_consumer_that_is_restricted_or_withdrawn_still_withdraws_its_agreement() external {
        VM.prank(regulator);
        registry.restrict(bank, START + 1 days, "looking into it");
        _withdrawParty(bank);
        _withdrawAgreement(bank);
        VM.assertTrue(agreements.agreementOf(landForLoan).withdrawn, "withdrawn");
    }

    function test_an_agreement_is_withdrawn_once() external {
        _withdrawAgreement(bank);
        _refused(abi.encodeWithSelector(IAgreements.AgreementAlreadyWithdrawn.selector, landForLoan));
        VM.prank(provider);
        agreements.withdrawAgreement(landForLoan, "no need");
    }

    function test_withdrawing_an_agreement_has_a_reason() external {
        _refused(abi.encodeWithSelector(IAgreements.EmptyReason.selector));
        VM.prank(bank);
        agreements.withdrawAgreement(landForLoan, "");
    }

    function test_the_consumer_withdraws_its_agreement() external {
        uint64 number = _emits(agreements);
        emit IAgreements.AgreementWithdrawn(landForLoan, bank, number, "no need");
        _withdrawAgreement(bank);

        IAgreements.AgreementState memory state = agreements.agreementOf(landForLoan);
        VM.assertTrue(state.withdrawn && !state.active, "flags");
        _expectChained();
    }

    function test_nothing_is_used_under_an_agreement_that_the_provider_withdrew() external {
        AuthorizationId authorization = _granted();
        _withdrawAgreement(provider);
        _expect(_use(authorization), Outcome.AgreementInactive);
    }

    // rounds

    function test_a_withdrawn_agreement_is_approved_anew_in_another_round() external {
        _withdrawAgreement(provider);
        ApplicationId application = _applyFor(BANK_KEY, land, loan, AGREED_FIELDS);
        uint64 number = _emits(agreements);
        emit IAgreements.AgreementApproved(landForLoan, application, number, 1, 1, AGREED_FIELDS, YEAR);
        VM.prank(provider);
        agreements.approve(application, AGREED_FIELDS, YEAR);
        _signConfidentiality(BANK_KEY, application);

        IAgreements.AgreementState memory state = agreements.agreementOf(landForLoan);
        VM.assertTrue(state.active && !state.withdrawn && state.round == 1 && state.number == 1, "state");
        _expect(_use(_granted()), Outcome.Allowed);
        _expectChained();
    }

    function test_a_consent_ends_with_the_withdrawal_of_its_agreement_for_good() external {
        AuthorizationId authorization = _granted();
        _withdrawAgreement(provider);
        _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        _expect(_use(authorization), Outcome.AgreementInactive);
        AuthorizationId second = _granted();
        _withdrawAgreement(bank);
        _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        _expect(_use(authorization), Outcome.AgreementInactive);
        _expect(_use(second), Outcome.AgreementInactive);
        _expect(_use(_granted()), Outcome.Allowed);
    }

    function test_an_approval_that_prolongs_or_widens_one_that_stands_keeps_consents() external {
        AuthorizationId authorization = _granted();
        ApplicationId application = _applyFor(BANK_KEY, land, loan, ALL_FIELDS);
        VM.prank(provider);
        agreements.approve(application, ALL_FIELDS, YEAR + 365 days);
        _signConfidentiality(BANK_KEY, application);
        VM.assertEq(agreements.agreementOf(landForLoan).round, 0, "round");
        _expect(_use(authorization), Outcome.Allowed);
    }

    function test_an_approval_that_prolongs_one_that_ran_out_keeps_consents() external {
        VM.warp(YEAR - 1 days);
        AuthorizationId authorization = _granted();
        VM.warp(YEAR);
        _expect(_use(authorization), Outcome.AgreementInactive);
        ApplicationId application = _applyFor(BANK_KEY, land, loan, AGREED_FIELDS);
        VM.prank(provider);
        agreements.approve(application, AGREED_FIELDS, YEAR + 365 days);
        _signConfidentiality(BANK_KEY, application);
        _expect(_use(authorization), Outcome.Allowed);
    }

    function test_terms_of_two_rounds_are_two() external {
        (Grant first,) = authorizations.grantOf(_granted());
        _withdrawAgreement(bank);
        _agree(BANK_KEY, land, loan, AGREED_FIELDS);
        (Grant second,) = authorizations.grantOf(_granted());
        VM.assertTrue(first.terms() != second.terms(), "numbers");
        VM.assertEq(authorizations.termsOf(first.terms()).round, 0, "first");
        VM.assertEq(authorizations.termsOf(second.terms()).round, 1, "second");
    }

    function test_rounds_do_not_start_again() external {
        _withdrawAgreement(bank);
        // As after 16,383 rounds, of which each takes a withdrawal. The marks are the highest two bytes of their word.
        bytes32 place = _marksPlace();
        bytes32 word = VM.load(address(agreements), place);
        VM.store(address(agreements), place, word | bytes32(uint256(0xfffc) << 240));
        VM.assertEq(agreements.agreementOf(landForLoan).round, 16_383, "the last round");
        ApplicationId application = _applyFor(BANK_KEY, land, loan, AGREED_FIELDS);
        _refusesApproval(
            application,
            AGREED_FIELDS,
            YEAR,
            abi.encodeWithSelector(IAgreements.RoundsExhausted.selector, landForLoan)
        );
    }

    /// @dev Where the one agreement's consumer, times and marks stand: the second word of its place.
    function _marksPlace() private view returns (bytes32) {
        for (uint256 base = 0; base < 16; ++base) {
            bytes32 place = bytes32(uint256(keccak256(abi.encode(uint256(1), base))) + 1);
            if (address(uint160(uint256(VM.load(address(agreements), place)))) == bank) return place;
        }
        revert("no such agreement");
    }

    function _refusesApplication(PurposeId purpose, uint256 fields, bytes memory reason) private {
        _refused(reason);
        VM.prank(bank);
        agreements.applyFor(land, purpose, fields, "to decide loans", 0);
    }

    function _refusesApproval(ApplicationId application, uint256 fields, uint64 expiresAt, bytes memory reason)
        private
    {
        _refused(reason);
        VM.prank(provider);
        agreements.approve(application, fields, expiresAt);
    }

    function _refusesSignature(
        uint256 key,
        ApplicationId application,
        string memory text,
        uint64 deadline,
        bytes memory reason
    ) private {
        bytes memory signature = _signature(key, VM.addr(key), application, text, deadline);
        _refused(reason);
        agreements.signConfidentiality(VM.addr(key), application, text, "nonce", deadline, signature);
    }

    function _signature(
        uint256 key,
        address consumer,
        ApplicationId application,
        string memory text,
        uint64 deadline
    ) private view returns (bytes memory) {
        bytes32 structHash = Signed.confidentiality(consumer, application, text, "nonce", deadline);
        return _sign(key, Signed.digest(address(agreements), structHash));
    }

    function _retire() private {
        VM.prank(authority);
        agreements.retirePurpose(loan);
    }

    function _withdrawAgreement(address party) private {
        VM.prank(party);
        agreements.withdrawAgreement(landForLoan, "no need");
    }
}

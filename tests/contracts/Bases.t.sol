// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {
    AgreementId,
    ApplicationId,
    Class,
    DatasetId,
    OrderId,
    Outcome,
    PurposeId,
    Role
} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title What opens data without a person's authorization: agreements, orders, and unconditional datasets.
contract BasesTest is Fixture {
    DatasetId private _roads;
    DatasetId private _parking;
    PurposeId private _planning;
    AgreementId private _roadsForPlanning;

    function setUp() public override {
        super.setUp();
        _roads = _register("roads", Class.Conditional, false);
        _parking = _register("parking", Class.Unconditional, false);
        _planning = _purpose("planning", _roads);
        _roadsForPlanning = _agree(BANK_KEY, _roads, _planning, 0x0f);
    }

    // an agreement

    function test_an_agreement_opens_data_that_is_not_personal_as_often_as_wanted() external {
        IAccessLog.Request[] memory requests = new IAccessLog.Request[](20);
        for (uint256 i = 0; i < requests.length; ++i) {
            requests[i] = _byAgreement(_roadsForPlanning);
        }
        Seen[] memory seen = _record(_batch(bank, requests));
        for (uint256 i = 0; i < seen.length; ++i) {
            _expect(seen[i].outcome, Outcome.Allowed);
        }
    }

    function test_an_agreement_opens_one_record_too() external {
        IAccessLog.Request memory request = _byAgreement(_roadsForPlanning);
        request.item = "record";
        Seen memory seen = _record(_batch(bank, request))[0];
        _expect(seen.outcome, Outcome.Allowed);
        VM.assertEq(seen.item, "record", "item");
    }

    function test_an_agreement_alone_opens_no_personal_data() external {
        _expect(_outcome(bank, _byAgreement(landForLoan)), Outcome.UnknownBasis);
    }

    function test_an_agreement_opens_nothing_for_another_consumer() external {
        _withdraw(_roads); // the mismatch comes first
        _expect(_outcome(insurer, _byAgreement(_roadsForPlanning)), Outcome.ConsumerMismatch);
    }

    function test_an_agreement_opens_no_withdrawn_dataset() external {
        _end(_roadsForPlanning); // the dataset comes first
        _withdraw(_roads);
        _expect(_outcome(bank, _byAgreement(_roadsForPlanning)), Outcome.DatasetInactive);
    }

    function test_an_agreement_opens_no_dataset_that_is_not_shared() external {
        VM.prank(provider);
        catalogue.reclassify(_roads, Class.NotShared, Class.NotShared, 3, "a leak");
        _expect(_outcome(bank, _byAgreement(_roadsForPlanning)), Outcome.DatasetInactive);
    }

    function test_an_agreement_opens_no_dataset_that_an_order_closes() external {
        _order(_roads, Class.NotShared);
        _expect(_outcome(bank, _byAgreement(_roadsForPlanning)), Outcome.DatasetInactive);
    }

    function test_an_ended_agreement_opens_nothing() external {
        IAccessLog.Request memory request = _byAgreement(_roadsForPlanning);
        request.fields = ALL_FIELDS; // the agreement comes first
        _end(_roadsForPlanning);
        _expect(_outcome(bank, request), Outcome.AgreementInactive);
    }

    function test_an_agreement_without_confidentiality_opens_nothing() external {
        ApplicationId application = _applyFor(INSURER_KEY, _roads, _planning, 0x0f);
        VM.prank(provider);
        AgreementId agreement = agreements.approve(application, 0x0f, START + 1 days);
        _expect(_outcome(insurer, _byAgreement(agreement)), Outcome.AgreementInactive);
        _signConfidentiality(INSURER_KEY, application);
        _expect(_outcome(insurer, _byAgreement(agreement)), Outcome.Allowed);
    }

    function test_an_agreement_opens_its_fields_only() external {
        IAccessLog.Request memory request = _byAgreement(_roadsForPlanning);
        request.fields = 0x10;
        _expect(_outcome(bank, request), Outcome.FieldsExceeded);
    }

    // an order

    function test_an_unconditional_order_opens_to_every_consumer() external {
        bytes32 order = OrderId.unwrap(_openRoads());
        _expect(_outcome(bank, _request(order)), Outcome.Allowed);
        _expect(_outcome(insurer, _request(order)), Outcome.Allowed);
    }

    function test_a_conditional_order_opens_personal_data_by_agreement() external {
        bytes32 order = OrderId.unwrap(_order(land, Class.Conditional));
        Seen memory seen = _record(_batch(bank, _request(order)))[0];
        _expect(seen.outcome, Outcome.Allowed);
        VM.assertEq(seen.basis, order, "basis");
        _expect(_outcome(insurer, _request(order)), Outcome.AgreementInactive);
    }

    function test_an_order_without_its_countersignature_opens_nothing() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        _countersign(order);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.Allowed);
    }

    /// @dev Retiring a purpose lets nothing new begin; what is in force is ended by whoever may end it.
    function test_an_order_opens_on_when_its_purpose_is_retired_until_it_is_ended() external {
        OrderId order = _order(land, Class.Conditional);
        VM.prank(authority);
        agreements.retirePurpose(loan);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.Allowed);
        VM.prank(provider);
        catalogue.endOrder(order, "the purpose is retired");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
    }

    function test_an_order_opens_nothing_while_another_one_closes() external {
        bytes32 order = OrderId.unwrap(_order(land, Class.Conditional));
        _order(land, Class.NotShared);
        _expect(_outcome(bank, _request(order)), Outcome.DatasetInactive);
    }

    function test_an_order_opens_only_what_is_bound_to_its_purpose() external {
        DatasetId signs = _register("signs", Class.Conditional, false);
        ICatalogue.OrderTerms memory terms = _orderTerms(signs, Class.Unconditional);
        bytes32 order = OrderId.unwrap(_order(terms)); // of a purpose to which no field of it is bound
        _expect(_outcome(bank, _request(order)), Outcome.FieldsExceeded);
        VM.prank(authority);
        agreements.bindFields(loan, signs, 0x03);
        _expect(_outcome(bank, _request(order)), Outcome.FieldsExceeded); // 0x07
        IAccessLog.Request memory request = _request(order);
        request.fields = 0x03;
        _expect(_outcome(bank, request), Outcome.Allowed);
    }

    function test_an_order_for_a_purpose_that_nobody_registered_opens_nothing() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(_roads, Class.Unconditional);
        terms.purpose = PurposeId.wrap("none");
        bytes32 order = OrderId.unwrap(_order(terms));
        _expect(_outcome(bank, _request(order)), Outcome.FieldsExceeded);
        terms = _orderTerms(land, Class.Conditional);
        terms.purpose = PurposeId.wrap("none");
        order = OrderId.unwrap(_order(terms));
        _expect(_outcome(bank, _request(order)), Outcome.AgreementInactive);
    }

    function test_an_order_opens_a_dataset_that_is_not_shared_for_itself_only() external {
        VM.prank(provider);
        catalogue.reclassify(_roads, Class.NotShared, Class.NotShared, 3, "a leak");
        bytes32 order = OrderId.unwrap(_openRoads());
        _expect(_outcome(insurer, _request(order)), Outcome.Allowed);
        _expect(_outcome(bank, _byAgreement(_roadsForPlanning)), Outcome.DatasetInactive);
    }

    function test_a_conditional_order_opens_to_consumers_with_an_agreement_for_its_purpose() external {
        bytes32 order = OrderId.unwrap(_order(land, Class.Conditional));
        _expect(_outcome(bank, _request(order)), Outcome.Allowed);
        _expect(_outcome(insurer, _request(order)), Outcome.AgreementInactive);
    }

    function test_a_conditional_order_opens_nothing_under_an_agreement_that_ended() external {
        bytes32 order = OrderId.unwrap(_order(land, Class.Conditional));
        _end(landForLoan);
        _expect(_outcome(bank, _request(order)), Outcome.AgreementInactive);
    }

    function test_a_conditional_order_opens_the_agreements_fields_only() external {
        _agree(BANK_KEY, land, loan, 0x03);
        IAccessLog.Request memory request = _request(OrderId.unwrap(_order(land, Class.Conditional)));
        request.fields = 0x04; // of the order's 0x0f, not of the agreement's 0x03
        _expect(_outcome(bank, request), Outcome.FieldsExceeded);
    }

    function test_an_order_opens_its_fields_only() external {
        IAccessLog.Request memory request = _request(OrderId.unwrap(_openRoads()));
        request.fields = 0x10;
        _expect(_outcome(bank, request), Outcome.FieldsExceeded);
    }

    function test_an_order_that_closes_opens_nothing() external {
        bytes32 order = OrderId.unwrap(_order(land, Class.NotShared));
        _expect(_outcome(bank, _request(order)), Outcome.DatasetInactive);
    }

    function test_an_order_opens_no_withdrawn_dataset() external {
        bytes32 order = OrderId.unwrap(_openRoads());
        _withdraw(_roads);
        _expect(_outcome(bank, _request(order)), Outcome.DatasetInactive);
    }

    function test_an_order_opens_nothing_after_its_end_reviewed_or_not() external {
        OrderId order = _openRoads();
        VM.warp(catalogue.orderOf(order).endsAt);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
    }

    function test_an_order_does_not_help_a_restricted_or_withdrawn_consumer() external {
        bytes32 order = OrderId.unwrap(_openRoads());
        VM.prank(regulator);
        registry.restrict(bank, _now() + 1, "too much, too fast");
        _expect(_outcome(bank, _request(order)), Outcome.ConsumerRestricted);
        VM.prank(authority);
        registry.withdraw(bank);
        _expect(_outcome(bank, _request(order)), Outcome.ConsumerInactive);
    }

    // a dataset

    function test_an_unconditional_dataset_opens_to_every_consumer() external {
        _expect(_outcome(bank, _byDataset(_parking)), Outcome.Allowed);
        _expect(_outcome(insurer, _byDataset(_parking)), Outcome.Allowed);
    }

    function test_an_unconditional_dataset_opens_to_consumers_only() external {
        _name(provider, recorder);
        _admit(stranger, Role.Consumer);
        _withdrawParty(stranger);
        _expect(_outcome(provider, _byDataset(_parking)), Outcome.ConsumerInactive);
        _expect(_outcome(stranger, _byDataset(_parking)), Outcome.ConsumerInactive);
    }

    function test_an_unconditional_dataset_opens_all_its_fields_and_no_others() external {
        IAccessLog.Request memory request = _byDataset(_parking);
        request.fields = ALL_FIELDS;
        _expect(_outcome(bank, request), Outcome.Allowed);
        request = _byDataset(_parking);
        request.fields = ALL_FIELDS + 1;
        _expect(_outcome(bank, request), Outcome.FieldsExceeded);
    }

    function test_a_dataset_of_256_fields_opens_the_last_one() external {
        ICatalogue.DatasetTerms memory terms = _datasetTerms("wide", Class.Unconditional, false);
        terms.fields = new string[](256);
        for (uint256 i = 0; i < 256; ++i) {
            terms.fields[i] = VM.toString(i);
        }
        VM.prank(provider);
        IAccessLog.Request memory request = _byDataset(catalogue.registerDataset(terms));
        request.fields = type(uint256).max;
        _expect(_outcome(bank, request), Outcome.Allowed);
    }

    function test_a_conditional_dataset_is_no_basis() external {
        _expect(_outcome(bank, _byDataset(_roads)), Outcome.UnknownBasis);
        _withdraw(_roads); // still none
        _expect(_outcome(bank, _byDataset(_roads)), Outcome.UnknownBasis);
    }

    function test_personal_data_is_no_basis() external {
        _expect(_outcome(bank, _byDataset(land)), Outcome.UnknownBasis);
    }

    function test_a_dataset_that_is_not_shared_any_more_opens_to_nobody() external {
        VM.prank(provider);
        catalogue.reclassify(_parking, Class.NotShared, Class.NotShared, 3, "a leak");
        _expect(_outcome(bank, _byDataset(_parking)), Outcome.DatasetInactive);
    }

    function test_a_withdrawn_dataset_opens_to_nobody() external {
        IAccessLog.Request memory request = _byDataset(_parking);
        request.fields = ALL_FIELDS + 1; // the dataset comes first
        _withdraw(_parking);
        _expect(_outcome(bank, request), Outcome.DatasetInactive);
    }

    function test_a_dataset_that_an_order_closes_opens_to_nobody() external {
        _order(_parking, Class.NotShared);
        _expect(_outcome(bank, _byDataset(_parking)), Outcome.DatasetInactive);
    }

    function test_zero_is_no_basis() external {
        _expect(_outcome(bank, _request(bytes32(0))), Outcome.UnknownBasis);
    }

    function testFuzz_no_other_word_is_a_basis(bytes32 basis) external {
        VM.assume(basis != DatasetId.unwrap(_parking) && basis != AgreementId.unwrap(_roadsForPlanning));
        _expect(_outcome(bank, _request(basis)), Outcome.UnknownBasis);
    }

    /// @dev An order of the class that no personal data can have.
    function _openRoads() private returns (OrderId) {
        ICatalogue.OrderTerms memory terms = _orderTerms(_roads, Class.Unconditional);
        terms.purpose = _planning;
        return _order(terms);
    }

    function _byAgreement(AgreementId agreement) private returns (IAccessLog.Request memory) {
        return _request(AgreementId.unwrap(agreement));
    }

    function _byDataset(DatasetId dataset) private returns (IAccessLog.Request memory) {
        return _request(DatasetId.unwrap(dataset));
    }

    function _withdraw(DatasetId dataset) private {
        VM.prank(provider);
        catalogue.withdrawDataset(dataset, "closed");
    }

    function _end(AgreementId agreement) private {
        VM.prank(provider);
        agreements.withdrawAgreement(agreement, "no need");
    }
}

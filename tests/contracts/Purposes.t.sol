// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAgreements} from "../../contracts/interfaces/IAgreements.sol";
import {AgreementId, AuthorizationId, Class, DatasetId, Outcome, PurposeId} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract PurposesTest is Fixture {
    // registerPurpose

    function test_only_the_authority_registers_a_purpose() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        _refused(abi.encodeWithSelector(IAgreements.NotAuthority.selector, bank));
        VM.prank(bank);
        agreements.registerPurpose(terms);
    }

    function test_a_purpose_has_a_code() external {
        _refusesPurpose(_purposeTerms(""), abi.encodeWithSelector(IAgreements.EmptyCode.selector));
    }

    function test_a_purpose_has_a_text() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.texts = new IAgreements.Text[](0);
        _refusesPurpose(terms, abi.encodeWithSelector(IAgreements.TextsMissing.selector));
    }

    function test_a_purpose_bounds_validity() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.maxValidity = 0;
        _refusesPurpose(terms, abi.encodeWithSelector(IAgreements.BoundsEmpty.selector));
    }

    function test_a_purpose_bounds_uses() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.maxUses = 0;
        _refusesPurpose(terms, abi.encodeWithSelector(IAgreements.BoundsEmpty.selector));
    }

    function test_a_purpose_has_bounds_that_fit() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.maxValidity = uint64(type(uint32).max) + 1;
        _refusesPurpose(terms, abi.encodeWithSelector(IAgreements.BoundsTooWide.selector));
        terms.maxValidity = type(uint32).max;
        terms.retention = uint64(type(uint40).max) + 1;
        _refusesPurpose(terms, abi.encodeWithSelector(IAgreements.BoundsTooWide.selector));
        terms.retention = type(uint40).max;
        VM.prank(authority);
        PurposeId tax = agreements.registerPurpose(terms);
        VM.assertEq(agreements.boundsOf(tax).maxValidity, type(uint32).max, "validity");
    }

    function test_a_purpose_never_changes() external {
        _refusesPurpose(_purposeTerms("loan"), abi.encodeWithSelector(IAgreements.PurposeExists.selector, loan));
    }

    function test_a_registered_purpose_shows_its_bounds() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("tax");
        terms.minInterval = 60;
        PurposeId expected = agreements.purposeId(terms);
        uint64 number = _emits(agreements);
        emit IAgreements.PurposeRegistered(expected, number, terms);
        VM.prank(authority);
        PurposeId tax = agreements.registerPurpose(terms);

        VM.assertEq(PurposeId.unwrap(tax), PurposeId.unwrap(expected), "id");
        IAgreements.PurposeBounds memory bounds = agreements.boundsOf(tax);
        VM.assertTrue(bounds.active, "active");
        VM.assertEq(bounds.maxValidity, 90 days, "validity");
        VM.assertEq(bounds.maxUses, 5, "uses");
        VM.assertEq(bounds.minInterval, 60, "interval");
        _expectChained();
    }

    // bindFields

    function test_only_the_authority_binds_fields() external {
        _refused(abi.encodeWithSelector(IAgreements.NotAuthority.selector, provider));
        VM.prank(provider);
        agreements.bindFields(loan, land, 1);
    }

    function test_fields_are_bound_to_an_active_purpose() external {
        PurposeId none = PurposeId.wrap("none");
        _refused(abi.encodeWithSelector(IAgreements.PurposeInactive.selector, none));
        VM.prank(authority);
        agreements.bindFields(none, land, 1);
    }

    function test_some_fields_are_bound() external {
        _refused(abi.encodeWithSelector(IAgreements.FieldsEmpty.selector));
        VM.prank(authority);
        agreements.bindFields(loan, land, 0);
    }

    function test_fields_are_bound_once() external {
        _refused(abi.encodeWithSelector(IAgreements.FieldsAlreadyBound.selector, loan, land));
        VM.prank(authority);
        agreements.bindFields(loan, land, 1);
    }

    function test_fields_that_exist_are_bound() external {
        DatasetId roads = _register("roads", Class.Conditional, false);
        _refused(abi.encodeWithSelector(IAgreements.FieldsOutsideSchema.selector, roads, 1 << 12));
        VM.prank(authority);
        agreements.bindFields(loan, roads, 1 << 12);
    }

    function test_bound_fields_are_the_most_that_a_purpose_uses() external {
        DatasetId roads = _register("roads", Class.Conditional, false);
        uint64 number = _emits(agreements);
        emit IAgreements.PurposeFieldsBound(loan, roads, number, 0x03);
        VM.prank(authority);
        agreements.bindFields(loan, roads, 0x03);

        VM.assertEq(agreements.fieldsBound(loan, roads), 0x03, "bound");
        _refused(abi.encodeWithSelector(IAgreements.FieldsOutsidePurpose.selector, loan, roads, 0x07));
        VM.prank(bank);
        agreements.applyFor(roads, loan, 0x07, "to decide loans", 0);
        _expectChained();
    }

    // retirePurpose

    function test_only_the_authority_retires_a_purpose() external {
        _refused(abi.encodeWithSelector(IAgreements.NotAuthority.selector, bank));
        VM.prank(bank);
        agreements.retirePurpose(loan);
    }

    function test_a_purpose_is_retired_once() external {
        _retire();
        _refused(abi.encodeWithSelector(IAgreements.PurposeInactive.selector, loan));
        VM.prank(authority);
        agreements.retirePurpose(loan);
    }

    function test_a_retired_purpose_keeps_what_was_granted() external {
        AuthorizationId authorization = _granted();
        uint64 number = _emits(agreements);
        emit IAgreements.PurposeRetired(loan, number);
        _retire();

        VM.assertTrue(!agreements.boundsOf(loan).active, "active");
        _expect(_use(authorization), Outcome.Allowed);
        _expectChained();
    }

    // requireWithinBounds

    function test_an_authorization_keeps_the_purposes_bounds() external {
        _refusesTerms(
            1, 90 days + 1, 1, 0, abi.encodeWithSelector(IAgreements.ValidityOutOfBounds.selector, 90 days + 1, 90 days)
        );
        _refusesTerms(1, 1 days, 0, 0, abi.encodeWithSelector(IAgreements.UsesOutOfBounds.selector, 0, 5));
        _refusesTerms(1, 1 days, 6, 0, abi.encodeWithSelector(IAgreements.UsesOutOfBounds.selector, 6, 5));
        _refusesTerms(0, 1 days, 1, 0, abi.encodeWithSelector(IAgreements.FieldsEmpty.selector));
        _refusesTerms(
            1 << 12,
            1 days,
            1,
            0,
            abi.encodeWithSelector(IAgreements.FieldsOutsidePurpose.selector, loan, land, 1 << 12)
        );
        (uint32 number, uint16 round) = agreements.requireWithinBounds(bank, land, loan, 0xff, 90 days, 5, 0);
        VM.assertTrue(number == 1 && round == 0, "number and round");
    }

    function test_an_authorization_keeps_the_purposes_interval() external {
        IAgreements.PurposeTerms memory terms = _purposeTerms("claim");
        terms.minInterval = 1 days;
        VM.prank(authority);
        PurposeId claim = agreements.registerPurpose(terms);
        VM.prank(authority);
        agreements.bindFields(claim, land, 1);
        _agree(BANK_KEY, land, claim, 1);

        _refused(abi.encodeWithSelector(IAgreements.IntervalOutOfBounds.selector, 1 days - 1, 1 days));
        agreements.requireWithinBounds(bank, land, claim, 1, 1 days, 1, 1 days - 1);
        (uint32 number,) = agreements.requireWithinBounds(bank, land, claim, 1, 1 days, 1, 1 days);
        VM.assertEq(number, 2, "number");
    }

    function test_an_authorization_keeps_the_agreements_fields() external {
        _refusesTerms(
            0x1ff,
            1 days,
            1,
            0,
            abi.encodeWithSelector(IAgreements.FieldsOutsideAgreement.selector, landForLoan, 0x1ff)
        );
    }

    function test_an_authorization_needs_an_active_agreement() external {
        AgreementId none = agreements.agreementId(insurer, land, loan);
        _refused(abi.encodeWithSelector(IAgreements.AgreementInactive.selector, none));
        agreements.requireWithinBounds(insurer, land, loan, 1, 1 days, 1, 0);
    }

    function test_an_authorization_needs_an_active_purpose() external {
        _retire();
        _refusesTerms(1, 1 days, 1, 0, abi.encodeWithSelector(IAgreements.PurposeInactive.selector, loan));
    }

    function _refusesPurpose(IAgreements.PurposeTerms memory terms, bytes memory reason) private {
        _refused(reason);
        VM.prank(authority);
        agreements.registerPurpose(terms);
    }

    function _refusesTerms(uint256 fields, uint64 validity, uint32 uses, uint32 interval, bytes memory reason)
        private
    {
        _refused(reason);
        agreements.requireWithinBounds(bank, land, loan, fields, validity, uses, interval);
    }

    function _retire() private {
        VM.prank(authority);
        agreements.retirePurpose(loan);
    }
}

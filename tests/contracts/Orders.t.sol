// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Class, DatasetId, OrderId, Outcome, PurposeId, Role} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract OrdersTest is Fixture {
    DatasetId private constant NONE = DatasetId.wrap(keccak256("no dataset"));

    // issueOrder

    function test_only_the_authority_orders() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        _refused(abi.encodeWithSelector(ICatalogue.NotAuthority.selector, regulator));
        VM.prank(regulator);
        catalogue.issueOrder(terms);
    }

    function test_an_order_is_about_a_known_dataset() external {
        _refusesToOrder(
            _orderTerms(NONE, Class.Conditional), abi.encodeWithSelector(ICatalogue.DatasetUnknown.selector, NONE)
        );
    }

    function test_an_order_does_not_revive_a_withdrawn_dataset() external {
        _withdrawLand();
        _refusesToOrder(
            _orderTerms(land, Class.Conditional),
            abi.encodeWithSelector(ICatalogue.DatasetAlreadyWithdrawn.selector, land)
        );
    }

    function test_an_order_ends_after_its_start() external {
        _refusesPeriod(Class.Conditional, START, START);
        _refusesPeriod(Class.NotShared, START, START);
    }

    function test_an_order_ends_in_the_future() external {
        _refusesPeriod(Class.Conditional, START - 1, START);
        _refusesPeriod(Class.NotShared, START - 1, START);
    }

    function test_an_order_begins_within_a_day() external {
        _refusesPeriod(Class.Conditional, START + 1 days + 1, START + 2 days);
        _refusesPeriod(Class.NotShared, START + 1 days + 1, START + 2 days);
        // In 2105, signed today.
        _refusesPeriod(Class.Conditional, 4_260_000_000, 4_260_000_000 + 1 days);
    }

    function test_an_order_that_opens_lasts_thirty_days() external {
        _refusesPeriod(Class.Conditional, START, START + 30 days + 1);
        _refusesPeriod(Class.Conditional, START - 30 days, START + 30 days + 1);
        _refusesPeriod(Class.Conditional, START + 1 days, START + 31 days + 1);
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        (terms.startsAt, terms.endsAt) = (START + 1 days, START + 31 days);
        VM.assertTrue(catalogue.orderOf(_issue(terms)).endsAt == START + 31 days, "the longest");
    }

    function test_an_order_that_closes_lasts_as_long_as_it_says() external {
        _refusesPeriod(Class.NotShared, START, uint64(type(uint40).max) + 1);
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.NotShared);
        terms.endsAt = type(uint40).max;
        VM.assertTrue(catalogue.orderOf(_issue(terms)).inForce, "in force");
    }

    function test_an_order_has_a_reason() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.reason = "";
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
    }

    function test_an_order_opens_fields_that_exist() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.fields = 1 << 12;
        _refusesToOrder(
            terms, abi.encodeWithSelector(ICatalogue.FieldsOutsideSchema.selector, land, terms.fields)
        );
    }

    function test_an_order_that_opens_names_a_purpose() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.purpose = PurposeId.wrap(0);
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.OrderWithoutPurpose.selector));
        terms.sharing = Class.NotShared; // closing is for no purpose
        VM.assertTrue(catalogue.orderOf(_issue(terms)).inForce, "in force");
    }

    function test_personal_data_are_never_opened_to_everybody() external {
        _refusesToOrder(
            _orderTerms(land, Class.Unconditional), abi.encodeWithSelector(ICatalogue.OrderTooWide.selector, land)
        );
        _issue(_orderTerms(_register("roads", Class.Conditional, false), Class.Unconditional));
    }

    function test_an_order_is_issued_once() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        OrderId order = _issue(terms);
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.OrderExists.selector, order));
    }

    function test_the_next_order_that_opens_waits_for_the_review_of_both_last() external {
        OrderId opening = _order(land, Class.Conditional);
        OrderId closing = _order(land, Class.NotShared);
        VM.warp(START + 2 days);
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.OrderNotReviewed.selector, opening));
        _review(opening);
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 1));
        _review(closing);
        _order(land, Class.Conditional);
    }

    /// @dev A newer one that closes, reviewed, running or never in force, hides none before it.
    function test_the_next_order_that_opens_waits_for_the_review_of_every_order_that_closed() external {
        OrderId first = _order(land, Class.NotShared);
        VM.warp(START + 2 days);
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.NotShared);
        terms.startsAt = _now() + 1 hours;
        _end(_order(terms)); // never in force
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 1));
        OrderId second = _order(land, Class.NotShared);
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 2));
        _endAndReview(second);
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 1));
        _review(first);
        VM.assertTrue(catalogue.orderOf(_order(land, Class.Conditional)).inForce, "the next one");
    }

    function test_a_countersignature_waits_for_the_review_of_every_order_that_closed() external {
        OrderId opening = _issue(_orderTerms(land, Class.Conditional));
        OrderId first = _order(land, Class.NotShared);
        _end(first);
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.NotShared);
        terms.startsAt = START + 1 hours;
        _end(_order(terms));
        _refusesSignature(opening, abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 1));
        _review(first);
        _countersign(opening);
        VM.assertTrue(catalogue.orderOf(opening).inForce, "in force");
    }

    function test_closings_of_another_dataset_hold_up_nothing() external {
        _end(_order(_register("roads", Class.Conditional, false), Class.NotShared));
        VM.assertTrue(catalogue.orderOf(_order(land, Class.Conditional)).inForce, "in force");
    }

    /// @dev Neither the review of the last one nor an order that opens holds up a leak at night.
    function test_an_order_that_closes_waits_for_nobody() external {
        OrderId opening = _order(land, Class.Conditional);
        OrderId closing = _order(land, Class.NotShared);
        VM.assertTrue(catalogue.orderOf(closing).inForce && !catalogue.orderOf(closing).countersigned, "at once");
        _expect(_outcome(bank, _request(OrderId.unwrap(opening))), Outcome.DatasetInactive);
        VM.warp(START + 2 days);
        closing = _order(land, Class.NotShared); // neither is reviewed
        VM.assertTrue(catalogue.closedByOrder(land), "closed");
    }

    function test_one_order_closes_a_dataset_at_a_time() external {
        OrderId order = _order(land, Class.NotShared);
        _refusesToOrder(
            _orderTerms(land, Class.NotShared), abi.encodeWithSelector(ICatalogue.OrderInForce.selector, order)
        );
    }

    function test_an_issued_order_that_opens_waits_for_a_regulator() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        OrderId expected = catalogue.orderId(terms);
        uint64 number = _emits(catalogue);
        emit ICatalogue.OrderIssued(expected, land, number, terms);
        VM.prank(authority);
        OrderId order = catalogue.issueOrder(terms);

        VM.assertEq(OrderId.unwrap(order), OrderId.unwrap(expected), "id");
        ICatalogue.OrderState memory state = catalogue.orderOf(order);
        VM.assertTrue(!state.inForce && !state.countersigned && !state.reviewed, "flags");
        VM.assertEq(state.fields, terms.fields, "fields");
        _expectLast(OrderId.wrap(0), OrderId.wrap(0));
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        VM.warp(terms.endsAt - 1);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        _expectChained();
    }

    function test_an_order_that_nobody_countersigned_blocks_nothing() external {
        OrderId first = _issue(_orderTerms(land, Class.Conditional));
        OrderId second = _issue(_orderTerms(land, Class.Conditional)); // at once
        VM.warp(START + 2 days);
        OrderId third = _order(land, Class.Conditional); // nor after their end
        VM.assertTrue(!catalogue.orderOf(first).inForce && !catalogue.orderOf(second).inForce, "the first two");
        VM.assertTrue(catalogue.orderOf(third).inForce, "the third");
    }

    function test_an_order_that_ended_before_its_start_blocks_nothing() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.startsAt = START + 1 hours;
        OrderId opening = _order(terms);
        terms.sharing = Class.NotShared;
        OrderId closing = _order(terms);
        _end(opening);
        _end(closing);
        _refusesReview(opening, abi.encodeWithSelector(ICatalogue.OrderNeedsNone.selector, opening));
        _refusesReview(closing, abi.encodeWithSelector(ICatalogue.OrderNeedsNone.selector, closing));
        VM.assertTrue(catalogue.orderOf(_order(land, Class.Conditional)).inForce, "the next one");
    }

    function test_an_order_that_closes_a_dataset_closes_it_for_its_time_only() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.NotShared);
        terms.startsAt = START + 1 hours;
        OrderId order = _order(terms);
        VM.assertTrue(catalogue.datasetOf(land).shared && !catalogue.closedByOrder(land), "before");
        VM.warp(START + 1 hours);
        VM.assertTrue(!catalogue.datasetOf(land).shared && catalogue.closedByOrder(land), "closed");
        _expectLast(OrderId.wrap(0), order);
        VM.warp(terms.endsAt);
        VM.assertTrue(catalogue.datasetOf(land).shared && !catalogue.closedByOrder(land), "open again");
    }

    // countersignOrder

    function test_only_a_regulator_countersigns() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        catalogue.countersignOrder(order);
        _withdrawParty(regulator);
        _refusesSignature(order, abi.encodeWithSelector(IRegistry.PartyInactive.selector, regulator));
    }

    function test_only_a_known_order_is_countersigned() external {
        OrderId none = OrderId.wrap("none");
        _refusesSignature(none, abi.encodeWithSelector(ICatalogue.OrderUnknown.selector, none));
    }

    function test_an_order_that_closes_needs_no_countersignature() external {
        OrderId order = _order(land, Class.NotShared);
        _refusesSignature(order, abi.encodeWithSelector(ICatalogue.OrderNeedsNone.selector, order));
    }

    function test_an_order_is_countersigned_once() external {
        OrderId order = _order(land, Class.Conditional);
        _refusesSignature(order, abi.encodeWithSelector(ICatalogue.OrderAlreadyCountersigned.selector, order));
    }

    function test_an_order_is_countersigned_before_its_end() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        VM.warp(START + 1 days);
        _refusesSignature(order, abi.encodeWithSelector(ICatalogue.OrderOver.selector, order));
        order = _issue(_orderTerms(land, Class.Conditional));
        _end(order);
        _refusesSignature(order, abi.encodeWithSelector(ICatalogue.OrderOver.selector, order));
    }

    /// @dev Of two that were issued side by side the second waits for the review of the first.
    function test_one_order_opens_a_dataset_at_a_time() external {
        OrderId first = _issue(_orderTerms(land, Class.Conditional));
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.endsAt = START + 5 days;
        OrderId second = _issue(terms);
        _countersign(first);
        _refusesSignature(second, abi.encodeWithSelector(ICatalogue.OrderNotReviewed.selector, first));
        _endAndReview(first);
        OrderId closing = _order(land, Class.NotShared);
        _refusesSignature(second, abi.encodeWithSelector(ICatalogue.ClosingsNotReviewed.selector, land, 1));
        _endAndReview(closing);
        _countersign(second);
        VM.assertTrue(catalogue.orderOf(second).inForce, "in force");
    }

    function test_a_countersigned_order_is_in_force_from_its_start_to_its_end() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.startsAt = START + 1 hours;
        OrderId order = _issue(terms);
        uint64 number = _emits(catalogue);
        emit ICatalogue.OrderCountersigned(order, land, regulator, number);
        _countersign(order);

        _expectLast(order, OrderId.wrap(0));
        VM.assertTrue(!catalogue.orderOf(order).inForce, "before");
        VM.warp(terms.startsAt);
        ICatalogue.OrderState memory state = catalogue.orderOf(order);
        VM.assertTrue(state.inForce && state.countersigned && !state.reviewed, "started");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.Allowed);
        VM.warp(terms.endsAt);
        VM.assertTrue(!catalogue.orderOf(order).inForce, "over");
        _expectChained();
    }

    function test_an_order_counts_from_its_countersignature_on() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        VM.warp(START + 1 hours);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        _countersign(order);
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.Allowed);
    }

    // endOrder

    function test_only_those_concerned_end_an_order() external {
        OrderId order = _order(land, Class.Conditional);
        _refusesEnd(bank, order);
        _refusesEnd(identity, order);
        _admit(stranger, Role.Provider);
        _refusesEnd(stranger, order);
        _withdrawParty(otherRegulator);
        _refusesEnd(otherRegulator, order);
    }

    function test_the_authority_a_regulator_and_the_provider_end_an_order_that_opens() external {
        address[3] memory enders = [authority, regulator, provider];
        for (uint256 i = 0; i < 3; ++i) {
            OrderId order = _order(land, Class.Conditional);
            VM.prank(enders[i]);
            catalogue.endOrder(order, "the water is gone");
            VM.assertTrue(!catalogue.orderOf(order).inForce, "in force");
            _review(order);
        }
    }

    function test_nobody_needs_to_wait_for_the_countersignature_to_end_an_order() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        VM.prank(provider);
        catalogue.endOrder(order, "nobody asked us");
        _refusesSignature(order, abi.encodeWithSelector(ICatalogue.OrderOver.selector, order));
    }

    /// @dev It must not re-open its own leak.
    function test_a_provider_does_not_end_an_order_that_closes() external {
        OrderId order = _order(land, Class.NotShared);
        _refusesEnd(provider, order);
        VM.prank(regulator);
        catalogue.endOrder(order, "the leak is mended");
        VM.assertTrue(!catalogue.closedByOrder(land), "closed");
    }

    function test_only_a_known_order_is_ended() external {
        OrderId none = OrderId.wrap("none");
        _refused(abi.encodeWithSelector(ICatalogue.OrderUnknown.selector, none));
        VM.prank(authority);
        catalogue.endOrder(none, "the water is gone");
    }

    function test_an_order_is_ended_once() external {
        OrderId order = _order(land, Class.Conditional);
        _end(order);
        _refused(abi.encodeWithSelector(ICatalogue.OrderOver.selector, order));
        VM.prank(authority);
        catalogue.endOrder(order, "the water is gone");
    }

    function test_ending_an_order_has_a_reason() external {
        OrderId order = _order(land, Class.Conditional);
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(authority);
        catalogue.endOrder(order, "");
    }

    function test_an_ended_order_opens_nothing_any_more() external {
        OrderId order = _order(land, Class.Conditional);
        VM.warp(START + 1 hours);
        uint64 number = _emits(catalogue);
        emit ICatalogue.OrderEnded(order, land, authority, number, START + 1 hours, "the water is gone");
        _end(order);

        VM.assertTrue(!catalogue.orderOf(order).inForce, "in force");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
        _expectChained();
    }

    // reviewOrder

    function test_only_a_regulator_reviews() external {
        OrderId order = _order(land, Class.Conditional);
        _end(order);
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        catalogue.reviewOrder(order, "used twice, rightly");
    }

    function test_only_a_known_order_is_reviewed() external {
        OrderId none = OrderId.wrap("none");
        _refusesReview(none, abi.encodeWithSelector(ICatalogue.OrderUnknown.selector, none));
    }

    function test_an_order_is_reviewed_when_it_is_over() external {
        OrderId order = _order(land, Class.Conditional);
        _refusesReview(order, abi.encodeWithSelector(ICatalogue.OrderNotOver.selector, order));
    }

    function test_an_order_that_nobody_countersigned_needs_no_review() external {
        OrderId order = _issue(_orderTerms(land, Class.Conditional));
        _end(order);
        _refusesReview(order, abi.encodeWithSelector(ICatalogue.OrderNeedsNone.selector, order));
    }

    function test_an_order_is_reviewed_once() external {
        OrderId order = _order(land, Class.Conditional);
        _endAndReview(order);
        _refusesReview(order, abi.encodeWithSelector(ICatalogue.OrderAlreadyReviewed.selector, order));
    }

    function test_a_review_says_something() external {
        OrderId order = _order(land, Class.Conditional);
        _end(order);
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(regulator);
        catalogue.reviewOrder(order, "");
    }

    function test_after_the_review_the_next_order_can_be_issued() external {
        OrderId order = _order(land, Class.Conditional);
        _end(order);
        uint64 number = _emits(catalogue);
        emit ICatalogue.OrderReviewed(order, land, regulator, number, "used twice, rightly");
        _review(order);

        VM.assertTrue(catalogue.orderOf(order).reviewed, "reviewed");
        OrderId next = _order(land, Class.Conditional);
        _expectLast(next, OrderId.wrap(0));
        _expectChained();
    }

    function test_an_order_ended_in_the_second_of_its_start_was_in_force() external {
        OrderId order = _order(land, Class.Conditional);
        _end(order);
        _refusesToOpen(abi.encodeWithSelector(ICatalogue.OrderNotReviewed.selector, order));
    }

    function _refusesToOrder(ICatalogue.OrderTerms memory terms, bytes memory reason) private {
        _refused(reason);
        VM.prank(authority);
        catalogue.issueOrder(terms);
    }

    function _refusesToOpen(bytes memory reason) private {
        _refusesToOrder(_orderTerms(land, Class.Conditional), reason);
    }

    function _refusesPeriod(Class sharing, uint64 startsAt, uint64 endsAt) private {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, sharing);
        (terms.startsAt, terms.endsAt) = (startsAt, endsAt);
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.OrderPeriodInvalid.selector, startsAt, endsAt));
    }

    function _refusesSignature(OrderId order, bytes memory reason) private {
        _refused(reason);
        _countersign(order);
    }

    function _refusesEnd(address by, OrderId order) private {
        _refused(abi.encodeWithSelector(ICatalogue.NotEnder.selector, by, order));
        VM.prank(by);
        catalogue.endOrder(order, "the water is gone");
    }

    function _refusesReview(OrderId order, bytes memory reason) private {
        _refused(reason);
        _review(order);
    }

    function _expectLast(OrderId opening, OrderId closing) private view {
        (OrderId lastOpening, OrderId lastClosing,) = catalogue.lastOrdersOf(land);
        VM.assertEq(OrderId.unwrap(lastOpening), OrderId.unwrap(opening), "last that opens");
        VM.assertEq(OrderId.unwrap(lastClosing), OrderId.unwrap(closing), "last that closes");
    }

    function _withdrawLand() private {
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
    }

    function _end(OrderId order) private {
        VM.prank(authority);
        catalogue.endOrder(order, "the water is gone");
    }

    function _review(OrderId order) private {
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
    }

    function _endAndReview(OrderId order) private {
        _end(order);
        _review(order);
    }
}

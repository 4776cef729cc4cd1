// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {IRegistry} from "../../contracts/interfaces/IRegistry.sol";
import {Class, DatasetId, OrderId, Outcome} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

contract OrdersTest is Fixture {
    DatasetId private constant NONE = DatasetId.wrap(keccak256("no dataset"));

    // issueOrder

    function test_only_the_authority_orders() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        _refused(abi.encodeWithSelector(ICatalogue.NotAuthority.selector, regulator));
        VM.prank(regulator);
        catalogue.issueOrder(terms);
    }

    function test_an_order_is_about_a_known_dataset() external {
        _refusesToOrder(
            _orderTerms(NONE, Class.Unconditional), abi.encodeWithSelector(ICatalogue.DatasetUnknown.selector, NONE)
        );
    }

    function test_an_order_does_not_revive_a_withdrawn_dataset() external {
        _withdrawLand();
        _refusesToOrder(
            _orderTerms(land, Class.Unconditional),
            abi.encodeWithSelector(ICatalogue.DatasetAlreadyWithdrawn.selector, land)
        );
    }

    function test_an_order_ends_after_its_start() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        terms.endsAt = terms.startsAt;
        _refusesToOrder(
            terms, abi.encodeWithSelector(ICatalogue.OrderPeriodInvalid.selector, terms.startsAt, terms.endsAt)
        );
    }

    function test_an_order_ends_in_the_future() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        (terms.startsAt, terms.endsAt) = (START - 1, START);
        _refusesToOrder(
            terms, abi.encodeWithSelector(ICatalogue.OrderPeriodInvalid.selector, START - 1, START)
        );
    }

    function test_an_order_has_a_reason() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        terms.reason = "";
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
    }

    function test_an_order_opens_fields_that_exist() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        terms.fields = 1 << 12;
        _refusesToOrder(
            terms, abi.encodeWithSelector(ICatalogue.FieldsOutsideSchema.selector, land, terms.fields)
        );
    }

    function test_the_next_order_waits_for_the_review_of_the_last() external {
        OrderId order = _order(land, Class.Unconditional);
        VM.warp(START + 2 days);
        _refusesToOrder(
            _orderTerms(land, Class.Unconditional),
            abi.encodeWithSelector(ICatalogue.OrderNotReviewed.selector, order)
        );
    }

    function test_an_order_is_issued_once() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        VM.prank(authority);
        OrderId order = catalogue.issueOrder(terms);
        _endAndReview(order);
        _refusesToOrder(terms, abi.encodeWithSelector(ICatalogue.OrderExists.selector, order));
    }

    function test_an_order_is_in_force_from_its_start_to_its_end() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Unconditional);
        terms.startsAt = START + 1 hours;
        OrderId expected = catalogue.orderId(terms);
        VM.expectEmit(address(catalogue));
        emit ICatalogue.OrderIssued(expected, land, terms);
        VM.prank(authority);
        OrderId order = catalogue.issueOrder(terms);

        VM.assertEq(OrderId.unwrap(order), OrderId.unwrap(expected), "id");
        VM.assertEq(OrderId.unwrap(catalogue.lastOrderOf(land)), OrderId.unwrap(order), "last order");
        VM.assertTrue(!catalogue.orderOf(order).inForce, "before");
        VM.warp(terms.startsAt);
        ICatalogue.OrderState memory state = catalogue.orderOf(order);
        VM.assertTrue(state.inForce && !state.reviewed, "started");
        VM.assertEq(state.fields, terms.fields, "fields");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.Allowed);
        VM.warp(terms.endsAt);
        VM.assertTrue(!catalogue.orderOf(order).inForce, "over");
    }

    function test_an_order_that_closes_a_dataset_closes_it_for_its_time_only() external {
        OrderId order = _order(land, Class.NotShared);
        VM.assertTrue(!catalogue.datasetOf(land).shared, "closed");
        VM.warp(catalogue.orderOf(order).endsAt);
        VM.assertTrue(catalogue.datasetOf(land).shared, "open again");
    }

    // endOrder

    function test_only_the_authority_ends_an_order() external {
        OrderId order = _order(land, Class.Unconditional);
        _refused(abi.encodeWithSelector(ICatalogue.NotAuthority.selector, regulator));
        VM.prank(regulator);
        catalogue.endOrder(order, "the water is gone");
    }

    function test_only_a_known_order_is_ended() external {
        OrderId none = OrderId.wrap("none");
        _refused(abi.encodeWithSelector(ICatalogue.OrderUnknown.selector, none));
        VM.prank(authority);
        catalogue.endOrder(none, "the water is gone");
    }

    function test_an_order_is_ended_once() external {
        OrderId order = _order(land, Class.Unconditional);
        _end(order);
        _refused(abi.encodeWithSelector(ICatalogue.OrderOver.selector, order));
        VM.prank(authority);
        catalogue.endOrder(order, "the water is gone");
    }

    function test_ending_an_order_has_a_reason() external {
        OrderId order = _order(land, Class.Unconditional);
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(authority);
        catalogue.endOrder(order, "");
    }

    function test_an_ended_order_opens_nothing_any_more() external {
        OrderId order = _order(land, Class.Unconditional);
        VM.warp(START + 1 hours);
        VM.expectEmit(address(catalogue));
        emit ICatalogue.OrderEnded(order, land, START + 1 hours, "the water is gone");
        _end(order);

        VM.assertTrue(!catalogue.orderOf(order).inForce, "in force");
        _expect(_outcome(bank, _request(OrderId.unwrap(order))), Outcome.DatasetInactive);
    }

    // reviewOrder

    function test_only_a_regulator_reviews() external {
        OrderId order = _order(land, Class.Unconditional);
        _end(order);
        _refused(abi.encodeWithSelector(IRegistry.PartyUnknown.selector, authority));
        VM.prank(authority);
        catalogue.reviewOrder(order, "used twice, rightly");
    }

    function test_only_a_known_order_is_reviewed() external {
        OrderId none = OrderId.wrap("none");
        _refused(abi.encodeWithSelector(ICatalogue.OrderUnknown.selector, none));
        VM.prank(regulator);
        catalogue.reviewOrder(none, "used twice, rightly");
    }

    function test_an_order_is_reviewed_when_it_is_over() external {
        OrderId order = _order(land, Class.Unconditional);
        _refused(abi.encodeWithSelector(ICatalogue.OrderNotOver.selector, order));
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
    }

    function test_an_order_is_reviewed_once() external {
        OrderId order = _order(land, Class.Unconditional);
        _endAndReview(order);
        _refused(abi.encodeWithSelector(ICatalogue.OrderAlreadyReviewed.selector, order));
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
    }

    function test_a_review_says_something() external {
        OrderId order = _order(land, Class.Unconditional);
        _end(order);
        _refused(abi.encodeWithSelector(ICatalogue.EmptyReason.selector));
        VM.prank(regulator);
        catalogue.reviewOrder(order, "");
    }

    function test_after_the_review_the_next_order_can_be_issued() external {
        OrderId order = _order(land, Class.Unconditional);
        _end(order);
        VM.expectEmit(address(catalogue));
        emit ICatalogue.OrderReviewed(order, land, regulator, "used twice, rightly");
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");

        VM.assertTrue(catalogue.orderOf(order).reviewed, "reviewed");
        OrderId next = _order(land, Class.Unconditional);
        VM.assertEq(OrderId.unwrap(catalogue.lastOrderOf(land)), OrderId.unwrap(next), "last order");
    }

    function _refusesToOrder(ICatalogue.OrderTerms memory terms, bytes memory reason) private {
        _refused(reason);
        VM.prank(authority);
        catalogue.issueOrder(terms);
    }

    function _withdrawLand() private {
        VM.prank(provider);
        catalogue.withdrawDataset(land, "closed");
    }

    function _end(OrderId order) private {
        VM.prank(authority);
        catalogue.endOrder(order, "the water is gone");
    }

    function _endAndReview(OrderId order) private {
        _end(order);
        VM.prank(regulator);
        catalogue.reviewOrder(order, "used twice, rightly");
    }
}

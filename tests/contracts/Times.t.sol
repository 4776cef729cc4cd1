// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ICatalogue} from "../../contracts/interfaces/ICatalogue.sol";
import {AuthorizationId, Class, OrderId, Outcome} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title When exactly a decision changes: one second before, at, and one second after.
contract TimesTest is Fixture {
    uint64 private constant MOMENT = START + 10 days;

    function test_a_deadline_is_the_last_second_of_a_request() external {
        IAccessLog.Request memory request = _request(_granted());
        request.deadline = MOMENT;
        _turnsAfter(request, MOMENT, Outcome.Allowed, Outcome.RequestExpired);
    }

    function test_a_deadline_fits_its_five_bytes() external {
        IAccessLog.Request memory request = _request(_granted());
        request.deadline = type(uint40).max;
        Seen memory seen = _record(_batch(bank, request))[0];
        _expect(seen.outcome, Outcome.Allowed);
        VM.assertEq(seen.deadline, type(uint40).max, "deadline");

        request.deadline = uint256(type(uint40).max) + 1;
        _refused(abi.encodeWithSelector(IAccessLog.DeadlineTooLarge.selector, request.deadline));
        VM.prank(recorder);
        accessLog.record(_batch(bank, request));
    }

    function test_a_restriction_ends_when_it_says() external {
        AuthorizationId authorization = _granted();
        VM.prank(regulator);
        registry.restrict(bank, MOMENT, "too much, too fast");
        _turnsAt(_lasting(authorization), MOMENT, Outcome.ConsumerRestricted, Outcome.Allowed);
    }

    function test_an_agreement_ends_when_it_says() external {
        VM.warp(START + 300 days);
        IAuthorizations.Authorization memory terms = _terms();
        (terms.notBefore, terms.expiresAt) = (0, START + 370 days);
        _turnsAt(_lasting(_grant(terms)), START + 365 days, Outcome.Allowed, Outcome.AgreementInactive);
    }

    function test_an_authorization_begins_when_it_says() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.notBefore = START + 1 days;
        _turnsAt(_lasting(_grant(terms)), START + 1 days, Outcome.NotYetValid, Outcome.Allowed);
    }

    function test_an_authorization_ends_when_it_says() external {
        IAuthorizations.Authorization memory terms = _terms();
        terms.expiresAt = MOMENT;
        _turnsAt(_lasting(_grant(terms)), MOMENT, Outcome.Allowed, Outcome.Expired);
    }

    function test_an_authorization_of_one_second_is_allowed_in_that_second() external {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.notBefore, terms.expiresAt) = (START + 1 hours, START + 1 hours + 1);
        IAccessLog.Request memory request = _lasting(_grant(terms));
        _decidesAt(START + 1 hours - 1, request, Outcome.NotYetValid);
        _turnsAt(request, START + 1 hours + 1, Outcome.Allowed, Outcome.Expired);
    }

    function test_the_next_use_is_allowed_when_the_interval_is_over() external {
        AuthorizationId authorization = _grantEvery(1 hours);
        VM.warp(MOMENT);
        _expect(_use(authorization), Outcome.Allowed);
        _turnsAt(_lasting(authorization), MOMENT + 1 hours, Outcome.TooSoon, Outcome.Allowed);
    }

    function test_an_interval_runs_from_the_last_use_and_not_from_a_denied_one() external {
        AuthorizationId authorization = _grantEvery(1 hours);
        _expect(_use(authorization), Outcome.Allowed);
        VM.warp(START + 59 minutes);
        _expect(_use(authorization), Outcome.TooSoon);
        VM.warp(START + 60 minutes);
        _expect(_use(authorization), Outcome.Allowed);
        VM.warp(START + 119 minutes);
        _expect(_use(authorization), Outcome.TooSoon);
    }

    function test_without_an_interval_all_uses_are_allowed_in_one_second() external {
        AuthorizationId authorization = _grantEvery(0);
        _expect(_use(authorization), Outcome.Allowed);
        _expect(_use(authorization), Outcome.Allowed);
    }

    function test_an_order_begins_when_it_says() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        (terms.startsAt, terms.endsAt) = (START + 1 days, START + 2 days);
        _turnsAt(_lastingOrder(terms), START + 1 days, Outcome.DatasetInactive, Outcome.Allowed);
    }

    function test_an_order_ends_when_it_says() external {
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.Conditional);
        terms.endsAt = MOMENT;
        _turnsAt(_lastingOrder(terms), MOMENT, Outcome.Allowed, Outcome.DatasetInactive);
    }

    function test_an_order_that_closes_a_dataset_closes_it_from_its_start_to_its_end() external {
        AuthorizationId authorization = _granted();
        ICatalogue.OrderTerms memory terms = _orderTerms(land, Class.NotShared);
        (terms.startsAt, terms.endsAt) = (START + 1 days, START + 2 days);
        _order(terms);
        _turnsAt(_lasting(authorization), START + 1 days, Outcome.Allowed, Outcome.DatasetInactive);
        _turnsAt(_lasting(authorization), START + 2 days, Outcome.DatasetInactive, Outcome.Allowed);
    }

    function test_a_suspension_ends_when_it_says() external {
        AuthorizationId authorization = _granted();
        VM.prank(regulator);
        agreements.appointSupervisor(stranger);
        VM.prank(stranger);
        agreements.suspendAgreement(landForLoan, "too much, too fast");
        _turnsAt(_lasting(authorization), START + 30 minutes, Outcome.AgreementInactive, Outcome.Allowed);
    }

    function _turnsAt(IAccessLog.Request memory request, uint64 moment, Outcome before, Outcome from) private {
        _decidesAt(moment - 1, request, before);
        _decidesAt(moment, request, from);
        _decidesAt(moment + 1, request, from);
    }

    function _turnsAfter(IAccessLog.Request memory request, uint64 moment, Outcome until, Outcome then) private {
        _decidesAt(moment - 1, request, until);
        _decidesAt(moment, request, until);
        _decidesAt(moment + 1, request, then);
    }

    /// @dev Each moment on its own: nothing that one decision counted is left for the next.
    function _decidesAt(uint64 moment, IAccessLog.Request memory request, Outcome expected) private {
        uint256 before = VM.snapshotState();
        VM.warp(moment);
        _expect(_outcome(bank, request), expected);
        VM.revertToState(before);
    }

    function _grantEvery(uint32 interval) private returns (AuthorizationId) {
        IAuthorizations.Authorization memory terms = _terms();
        terms.minInterval = interval;
        return _grant(terms);
    }

    function _lasting(AuthorizationId authorization) private returns (IAccessLog.Request memory) {
        return _lasting(AuthorizationId.unwrap(authorization));
    }

    function _lastingOrder(ICatalogue.OrderTerms memory terms) private returns (IAccessLog.Request memory) {
        return _lasting(OrderId.unwrap(_order(terms)));
    }

    function _lasting(bytes32 basis) private returns (IAccessLog.Request memory request) {
        request = _request(basis);
        request.deadline = START + 1000 days;
    }
}

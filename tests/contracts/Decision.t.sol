// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Outcome} from "../../contracts/libraries/Types.sol";
import {Fixture} from "./Fixture.sol";
import {VM} from "./Vm.sol";

/// @title The decision over an authorization: each outcome alone, and which comes first.
/// @notice A fault is what makes one outcome. The bank's request, half a day after the grant, has the faults that a test asks
/// for; with none it is allowed. Bit i of `faults` is the fault that makes `Outcome(i)`.
contract DecisionTest is Fixture {
    bytes32 private constant RECORD = "record";
    uint256 private constant ALL_FAULTS = (2 << uint256(type(Outcome).max)) - 2;

    // Each fault alone

    function test_a_nonce_used_before_makes_a_duplicate() external {
        _denies(Outcome.DuplicateRequest);
    }

    function test_a_request_ends_with_its_deadline() external {
        _denies(Outcome.RequestExpired);
    }

    function test_a_withdrawn_consumer_is_denied() external {
        _denies(Outcome.ConsumerInactive);
    }

    function test_a_restricted_consumer_is_denied() external {
        _denies(Outcome.ConsumerRestricted);
    }

    function test_an_unknown_basis_is_denied() external {
        _denies(Outcome.UnknownBasis);
    }

    function test_another_consumers_authorization_is_denied() external {
        _denies(Outcome.ConsumerMismatch);
    }

    function test_a_withdrawn_dataset_is_denied() external {
        _denies(Outcome.DatasetInactive);
    }

    function test_a_withdrawn_agreement_is_denied() external {
        _denies(Outcome.AgreementInactive);
    }

    function test_an_authorization_before_its_time_is_denied() external {
        _denies(Outcome.NotYetValid);
    }

    function test_an_authorization_after_its_time_is_denied() external {
        _denies(Outcome.Expired);
    }

    function test_a_revoked_authorization_is_denied() external {
        _denies(Outcome.Revoked);
    }

    function test_a_frozen_persons_authorization_is_denied() external {
        _denies(Outcome.Frozen);
    }

    function test_another_record_is_denied() external {
        _denies(Outcome.ItemExceeded);
    }

    function test_a_field_that_was_not_granted_is_denied() external {
        _denies(Outcome.FieldsExceeded);
    }

    function test_a_use_within_the_interval_is_denied() external {
        _denies(Outcome.TooSoon);
    }

    function test_a_use_more_than_granted_is_denied() external {
        _denies(Outcome.UsesExhausted);
    }

    function test_without_a_fault_the_access_is_allowed_and_counted() external {
        (address consumer, IAccessLog.Request memory request) = _situation(0);
        bytes32 entry =
            bytes32(abi.encodePacked(bank, uint48(1), uint40(request.deadline), uint8(Outcome.Allowed)));
        VM.expectEmit(address(accessLog));
        emit IAccessLog.ItemAccessed(request.basis, request.fields, request.nonce, entry, RECORD);
        _expect(_outcome(consumer, request), Outcome.Allowed);

        VM.assertEq(_usesLeft(request.basis), 1, "uses");
        VM.assertTrue(accessLog.nonceUsed(consumer, request.nonce), "nonce");
        (uint256 sequence,) = accessLog.state();
        VM.assertEq(sequence, 1, "sequence");
    }

    // Several faults at once

    function test_of_two_faults_the_earlier_one_decides() external {
        for (uint256 first = 1; first <= uint256(type(Outcome).max); ++first) {
            for (uint256 second = first + 1; second <= uint256(type(Outcome).max); ++second) {
                uint256 before = VM.snapshotState();
                _decides(1 << first | 1 << second, Outcome(first));
                VM.revertToState(before);
            }
        }
    }

    function testFuzz_of_all_faults_the_earliest_decides(uint256 faults) external {
        faults &= ALL_FAULTS;
        uint256 expected = faults == 0 ? 0 : 1;
        while (expected != 0 && faults >> expected & 1 == 0) ++expected;
        _decides(faults, Outcome(expected));
    }

    // What the requests look like

    /// @dev A denial is recorded like any access, uses up its nonce, and counts no use.
    function _denies(Outcome outcome) private {
        (address consumer, IAccessLog.Request memory request) = _situation(1 << uint256(outcome));
        uint32 usesLeft = _usesLeft(request.basis);
        (uint256 sequence,) = accessLog.state();
        Seen memory seen = _record(_batch(consumer, request))[0];

        _expect(seen.outcome, outcome);
        VM.assertEq(seen.basis, request.basis, "basis");
        VM.assertEq(seen.consumer, consumer, "consumer");
        VM.assertEq(seen.sequence, sequence + 1, "sequence");
        VM.assertEq(_usesLeft(request.basis), usesLeft, "uses");
        VM.assertTrue(accessLog.nonceUsed(consumer, request.nonce), "nonce");
    }

    function _decides(uint256 faults, Outcome expected) private {
        (address consumer, IAccessLog.Request memory request) = _situation(faults);
        _expect(_outcome(consumer, request), expected);
    }

    function _situation(uint256 faults) private returns (address consumer, IAccessLog.Request memory request) {
        AuthorizationId authorization = _grantWith(faults);
        consumer = _has(faults, Outcome.ConsumerMismatch) ? insurer : bank;
        request = _requestWith(faults, authorization);
        if (_has(faults, Outcome.DuplicateRequest)) _useNonce(consumer, request.nonce);
        _faultsOfTheCity(faults, consumer);
        if (_has(faults, Outcome.Revoked)) _revoke(authorization);
        if (_has(faults, Outcome.Frozen)) _setFrozen(true);
    }

    /// @dev An authorization cannot have ended before it began: of both faults it has the first.
    function _grantWith(uint256 faults) private returns (AuthorizationId authorization) {
        IAuthorizations.Authorization memory terms = _terms();
        (terms.item, terms.maxUses) = (RECORD, _has(faults, Outcome.UsesExhausted) ? 1 : 2);
        if (_has(faults, Outcome.TooSoon)) terms.minInterval = type(uint32).max;
        if (_has(faults, Outcome.NotYetValid)) terms.notBefore = START + 1 days;
        else if (_has(faults, Outcome.Expired)) terms.expiresAt = START + 6 hours;
        authorization = _grant(terms);
        // Nor was it used before it began.
        bool used = _has(faults, Outcome.TooSoon) || _has(faults, Outcome.UsesExhausted);
        if (used && !_has(faults, Outcome.NotYetValid)) _expect(_use(authorization), Outcome.Allowed);
        VM.warp(START + 12 hours);
    }

    function _requestWith(uint256 faults, AuthorizationId authorization)
        private
        returns (IAccessLog.Request memory request)
    {
        request = _request(authorization);
        request.item = _has(faults, Outcome.ItemExceeded) ? bytes32("another record") : RECORD;
        if (_has(faults, Outcome.RequestExpired)) request.deadline = _now() - 1;
        if (_has(faults, Outcome.UnknownBasis)) request.basis = "unknown";
        if (_has(faults, Outcome.FieldsExceeded)) request.fields |= 0x08;
    }

    function _faultsOfTheCity(uint256 faults, address consumer) private {
        if (_has(faults, Outcome.ConsumerRestricted)) {
            VM.prank(regulator);
            registry.restrict(consumer, _now() + 1, "too much, too fast");
        }
        if (_has(faults, Outcome.ConsumerInactive)) {
            VM.prank(authority);
            registry.withdraw(consumer);
        }
        if (_has(faults, Outcome.AgreementInactive)) {
            VM.prank(provider);
            agreements.withdrawAgreement(landForLoan, "no need");
        }
        if (_has(faults, Outcome.DatasetInactive)) {
            VM.prank(provider);
            catalogue.withdrawDataset(land, "closed");
        }
    }

    function _useNonce(address consumer, uint256 nonce) private {
        IAccessLog.Request memory request = _request("any");
        request.nonce = nonce;
        _expect(_outcome(consumer, request), Outcome.UnknownBasis);
    }

    function _has(uint256 faults, Outcome outcome) private pure returns (bool) {
        return faults >> uint256(outcome) & 1 == 1;
    }

    function _usesLeft(bytes32 basis) private view returns (uint32) {
        (Grant grant,) = authorizations.grantOf(AuthorizationId.wrap(basis));
        return grant.usesLeft();
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../../contracts/interfaces/IAccessLog.sol";
import {IAuthorizations} from "../../contracts/interfaces/IAuthorizations.sol";
import {ISubjects} from "../../contracts/interfaces/ISubjects.sol";
import {Grant} from "../../contracts/libraries/Grants.sol";
import {AuthorizationId, Outcome, SubjectId} from "../../contracts/libraries/Types.sol";
import {History} from "./History.sol";
import {VM} from "./Vm.sol";

/// @title The promises, over random histories of everybody's acts.
/// @notice Each invariant has a control beside it: the same check after the chain was tampered with, which must then fail.
/// @dev To run this file alone, name History.sol beside it: Hardhat knows a target only by a file that it was told to compile.
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    History private _history;

    function setUp() external {
        _history = new History();
        _history.setUp();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_history);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_history), _history.acts());
    }

    // The promises

    function invariant_nothing_is_missing_the_sequence_has_no_gap() external view {
        (uint256 sequence,) = _log().state();
        VM.assertEq(_history.gaps(), 0, "gaps");
        VM.assertEq(sequence, _history.sequence(), "sequence");
    }

    function invariant_the_head_is_the_hash_of_all_that_was_recorded() external view {
        (, bytes32 head) = _log().state();
        VM.assertEq(head, _history.head(), "head");
    }

    function invariant_what_was_recorded_is_never_rewritten() external view {
        VM.assertEq(_history.rewritten(), 0, "rewritten");
    }

    function invariant_nothing_is_used_more_often_than_granted() external view {
        VM.assertEq(_overused(), 0, "overused");
    }

    function invariant_nothing_is_allowed_after_a_revocation_or_a_freeze() external view {
        VM.assertEq(_history.allowedWhileStopped(), 0, "allowed while stopped");
    }

    function invariant_the_person_can_always_stop_it() external view {
        VM.assertEq(_history.stopsRefused(), 0, "stops refused");
    }

    function invariant_nobody_stops_or_starts_what_is_not_his() external view {
        VM.assertEq(_history.overreached(), 0, "overreached");
    }

    function invariant_every_event_is_numbered_and_chained() external view {
        VM.assertEq(_history.unchained(), 0, "unchained");
    }

    // The controls

    function test_a_history_meets_every_outcome() external {
        _live(4000);
        for (uint256 i = 0; i <= uint256(type(Outcome).max); ++i) {
            VM.assertTrue(_history.seen(Outcome(i)) != 0, VM.toString(i));
        }
        VM.assertTrue(_history.count() > 20, "grants");
        VM.assertTrue(_history.seen(Outcome.Allowed) > 20, "allowed");
        VM.assertTrue(_voided() > 3, "given back");
    }

    function test_a_changed_sequence_is_noticed() external {
        _live(100);
        (uint256 sequence,) = _log().state();
        _change(address(_log()), _slotOf(address(_log()), bytes32(sequence)), bytes32(sequence + 1));
        _liveUntilRecorded();
        VM.assertTrue(_history.gaps() != 0 && _history.rewritten() != 0, "noticed");
    }

    function test_a_changed_head_is_noticed() external {
        _live(100);
        (, bytes32 head) = _log().state();
        _change(address(_log()), _slotOf(address(_log()), head), ~head);
        _history.freezes(0);
        VM.assertTrue(_history.rewritten() != 0, "noticed");
    }

    function test_uses_given_back_are_noticed() external {
        _liveUntilGranted();
        AuthorizationId authorization = _history.ids(0);
        (Grant grant,) = _authorizations().grantOf(authorization);
        _changeGrant(authorization, grant, Grant.unwrap(grant) + (1 << 128));
        VM.assertEq(_overused(), 1, "noticed");
    }

    function test_a_revocation_undone_is_noticed() external {
        _liveUntilGranted();
        AuthorizationId authorization = _history.ids(0);
        while (!_isRevoked(authorization)) {
            _history.revokes(0);
        }
        (Grant grant,) = _authorizations().grantOf(authorization);
        _changeGrant(authorization, grant, Grant.unwrap(grant) & ~(uint256(1) << 248));
        for (uint256 i = 0; _history.allowedWhileStopped() == 0; ++i) {
            VM.assertTrue(i < 200, "not noticed");
            _history.uses(uint256(keccak256(abi.encode(i))));
        }
    }

    function test_a_refused_revocation_is_noticed() external {
        _liveUntilGranted();
        SubjectId alice = SubjectId.wrap(keccak256("a random id"));
        ISubjects.SubjectState memory state = _authorizations().subjectOf(alice);
        bytes32 place = bytes32(uint256(uint160(state.registrar)) << 32 | state.number);
        _change(address(_authorizations()), _keyedSlot(SubjectId.unwrap(alice), place), 0);
        _history.revokes(0);
        VM.assertEq(_history.stopsRefused(), 1, "revocation");
        _history.freezes(0);
        VM.assertEq(_history.stopsRefused(), 2, "freeze");
    }

    function test_an_event_that_is_missing_is_noticed() external {
        address registry = address(_history.registryOf());
        (uint64 count, bytes24 head) = _history.registryOf().state();
        bytes32 word = bytes32(head) | bytes32(uint256(count));
        _change(registry, _slotOf(registry, word), bytes32(uint256(word) - 1));
        _history.timePasses(1);
        _history.freezes(0);
        VM.assertTrue(_history.unchained() != 0, "noticed");
    }

    // Acts in an order that is the same every time

    function _live(uint256 acts) private {
        bytes4[] memory selectors = _history.acts();
        for (uint256 i = 0; i < acts; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("act", i)));
            (bool done,) = address(_history).call(abi.encodeWithSelector(selectors[seed % selectors.length], seed >> 8));
            VM.assertTrue(done, "an act failed");
        }
    }

    function _liveUntilGranted() private {
        for (uint256 i = 0; _history.count() == 0; ++i) {
            _history.grants(0x0101010101); // some uses from now on, without an interval, for any record
        }
    }

    function _liveUntilRecorded() private {
        uint256 before = _history.sequence();
        for (uint256 i = 0; _history.sequence() == before; ++i) {
            VM.assertTrue(i < 100, "nothing is recorded");
            _history.powersAct(7 << 8); // all are admitted again
            _history.powersAct(4 | 2 << 8); // the bank names its recorder
            _history.uses(i);
        }
    }

    function _overused() private view returns (uint256 overused) {
        for (uint256 i = 0; i < _history.count(); ++i) {
            AuthorizationId authorization = _history.ids(i);
            (uint32 maxUses, uint32 allowed, uint32 voided,,,) = _history.given(authorization);
            (Grant grant,) = _authorizations().grantOf(authorization);
            bool wrong = grant.usesLeft() + allowed != maxUses + voided;
            if (wrong || voided > maxUses || grant.usesLeft() > maxUses) ++overused;
        }
    }

    function _voided() private view returns (uint256 voided) {
        for (uint256 i = 0; i < _history.count(); ++i) {
            (,, uint32 ofThis,,,) = _history.given(_history.ids(i));
            voided += ofThis;
        }
    }

    function _isRevoked(AuthorizationId authorization) private view returns (bool revoked) {
        (,,,,, revoked) = _history.given(authorization);
    }

    // Where a contract keeps a word

    function _changeGrant(AuthorizationId authorization, Grant grant, uint256 changed) private {
        bytes32 slot = _keyedSlot(AuthorizationId.unwrap(authorization), bytes32(Grant.unwrap(grant)));
        _change(address(_authorizations()), slot, bytes32(changed));
    }

    function _change(address target, bytes32 slot, bytes32 word) private {
        VM.store(target, slot, word);
    }

    function _slotOf(address target, bytes32 word) private view returns (bytes32) {
        for (uint256 slot = 0; slot < 32; ++slot) {
            if (VM.load(target, bytes32(slot)) == word) return bytes32(slot);
        }
        revert("no such word");
    }

    function _keyedSlot(bytes32 key, bytes32 word) private view returns (bytes32 slot) {
        for (uint256 base = 0; base < 32; ++base) {
            slot = keccak256(abi.encode(key, base));
            if (VM.load(address(_authorizations()), slot) == word) return slot;
        }
        revert("no such word");
    }

    function _log() private view returns (IAccessLog) {
        return _history.accessLogOf();
    }

    function _authorizations() private view returns (IAuthorizations) {
        return _history.authorizationsOf();
    }
}

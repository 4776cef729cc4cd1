// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Grant, Grants} from "../../contracts/libraries/Grants.sol";
import {VM} from "./Vm.sol";

/// @title The slot that holds an authorization's whole state: what is put in comes out, and no part spills into another.
contract GrantsTest {
    uint256 private constant MAX = type(uint32).max;

    struct Parts {
        uint32 subject;
        uint32 terms;
        uint32 notBefore;
        uint32 expiresAt;
        uint32 maxUses;
        uint32 minInterval;
        uint24 epoch;
        bool itemBound;
    }

    function testFuzz_what_is_packed_comes_out(Parts memory parts) external pure {
        _expectParts(_pack(parts), parts, false);
    }

    function test_all_parts_at_their_limits_stay_apart() external pure {
        Parts memory parts = Parts({
            subject: uint32(MAX),
            terms: 0,
            notBefore: uint32(MAX),
            expiresAt: 0,
            maxUses: uint32(MAX),
            minInterval: 0,
            epoch: type(uint24).max,
            itemBound: false
        });
        _expectParts(_pack(parts), parts, false);
        (parts.subject, parts.terms, parts.notBefore, parts.expiresAt) = (0, uint32(MAX), 0, uint32(MAX));
        (parts.maxUses, parts.minInterval, parts.epoch, parts.itemBound) = (0, uint32(MAX), 0, true);
        _expectParts(_pack(parts), parts, false);
    }

    /// @dev As the comment on `Grant` has it, because readers of the raw slot go by that.
    function testFuzz_each_part_is_where_the_layout_says(Parts memory parts) external pure {
        uint256 word = Grant.unwrap(_pack(parts));
        VM.assertEq(uint32(word), parts.subject, "subject");
        VM.assertEq(uint32(word >> 32), parts.terms, "terms");
        VM.assertEq(uint32(word >> 64), parts.notBefore, "notBefore");
        VM.assertEq(uint32(word >> 96), parts.expiresAt, "expiresAt");
        VM.assertEq(uint32(word >> 128), parts.maxUses, "uses left");
        VM.assertEq(uint32(word >> 160), parts.minInterval, "minInterval");
        VM.assertEq(uint32(word >> 192), 0, "last use");
        VM.assertEq(uint24(word >> 224), parts.epoch, "epoch");
        VM.assertEq(word >> 248, parts.itemBound ? 2 : 0, "flags");
    }

    function testFuzz_only_nothing_is_unknown(Parts memory parts) external pure {
        parts.subject = parts.subject | 1; // numbers of subjects start at one
        VM.assertTrue(!_pack(parts).isUnknown(), "known");
        VM.assertTrue(Grant.wrap(0).isUnknown(), "unknown");
    }

    function testFuzz_a_use_takes_one_and_notes_the_second(Parts memory parts, uint32 second) external {
        parts.maxUses = parts.maxUses | 1;
        VM.warp(second);
        Grant used = this.use(_pack(parts));
        VM.assertEq(uint32(Grant.unwrap(used) >> 192), second, "last use");
        parts.maxUses -= 1;
        _expectParts(used, parts, false);
    }

    function testFuzz_uses_go_down_to_zero_and_the_last_second_stays(Parts memory parts, uint32 second) external {
        parts.maxUses = 3;
        Grant grant = _pack(parts);
        for (uint256 i = 0; i < 3; ++i) {
            VM.warp(uint256(second) + i);
            grant = this.use(grant);
        }
        VM.assertEq(grant.usesLeft(), 0, "uses");
        VM.assertEq(uint32(Grant.unwrap(grant) >> 192), uint32(uint256(second) + 2), "last use");
        parts.maxUses = 0;
        _expectParts(grant, parts, false);
    }

    function testFuzz_revoking_sets_one_bit_for_good(Parts memory parts) external pure {
        parts.maxUses = parts.maxUses | 1;
        Grant revoked = _pack(parts).revoke();
        _expectParts(revoked, parts, true);
        VM.assertEq(Grant.unwrap(revoked.revoke()), Grant.unwrap(revoked), "twice");
        VM.assertTrue(revoked.withEpoch(7).revoked(), "confirmed");
    }

    function testFuzz_confirming_changes_the_epoch_only(Parts memory parts, uint24 epoch) external pure {
        Grant confirmed = _pack(parts).withEpoch(epoch);
        parts.epoch = epoch;
        _expectParts(confirmed, parts, false);
    }

    function testFuzz_never_used_is_never_too_recent(Parts memory parts, uint32 second) external {
        VM.warp(second);
        VM.assertTrue(!this.usedTooRecently(_pack(parts)), "too recently");
    }

    function testFuzz_it_is_too_soon_until_the_interval_is_over(Parts memory parts, uint32 used, uint64 now_)
        external
    {
        VM.assume(used != 0);
        parts.maxUses = 1;
        VM.warp(used);
        Grant grant = this.use(_pack(parts));
        VM.warp(now_);
        // Both have 32 bits; their sum has more and must not wrap around.
        VM.assertEq(this.usedTooRecently(grant), now_ < uint256(used) + parts.minInterval, "too recently");
    }

    function test_the_longest_interval_after_the_last_second_does_not_wrap_around() external {
        Parts memory parts;
        (parts.maxUses, parts.minInterval) = (1, uint32(MAX));
        VM.warp(MAX);
        Grant grant = this.use(_pack(parts));
        VM.warp(2 * MAX - 1);
        VM.assertTrue(this.usedTooRecently(grant), "before");
        VM.warp(2 * MAX);
        VM.assertTrue(!this.usedTooRecently(grant), "at the end");
    }

    /// @dev By a call of its own, because the compiler takes `block.timestamp` for constant within one.
    function use(Grant grant) external view returns (Grant) {
        return grant.use();
    }

    function usedTooRecently(Grant grant) external view returns (bool) {
        return grant.usedTooRecently();
    }

    function _pack(Parts memory parts) private pure returns (Grant) {
        return Grants.pack(
            parts.subject,
            parts.terms,
            parts.notBefore,
            parts.expiresAt,
            parts.maxUses,
            parts.minInterval,
            parts.epoch,
            parts.itemBound
        );
    }

    function _expectParts(Grant grant, Parts memory parts, bool revoked) private pure {
        VM.assertEq(grant.subject(), parts.subject, "subject");
        VM.assertEq(grant.terms(), parts.terms, "terms");
        VM.assertEq(grant.notBefore(), parts.notBefore, "notBefore");
        VM.assertEq(grant.expiresAt(), parts.expiresAt, "expiresAt");
        VM.assertEq(grant.usesLeft(), parts.maxUses, "uses");
        VM.assertEq(uint32(Grant.unwrap(grant) >> 160), parts.minInterval, "minInterval");
        VM.assertEq(grant.epoch(), parts.epoch, "epoch");
        VM.assertEq(grant.itemBound(), parts.itemBound, "item bound");
        VM.assertEq(grant.revoked(), revoked, "revoked");
        VM.assertEq(Grant.unwrap(grant) >> 250, 0, "nothing above");
    }
}

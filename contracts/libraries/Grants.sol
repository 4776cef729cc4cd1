// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @dev An authorization's whole state in one slot, so that an access costs one cold read and one write:
///
///     bits   0  subject number        32
///           32  terms number          32   (agreement and fields, shared by all grants that agree in both)
///           64  notBefore             32   seconds since 1970
///           96  expiresAt             32   seconds since 1970
///          128  uses left             32
///          160  minInterval           32   seconds
///          192  last use              32   seconds since 1970, zero for never
///          224  epoch                 24
///          248  revoked                1
///          249  bound to one item      1
type Grant is uint256;

using Grants for Grant global;

/// @title Packing and unpacking of `Grant`.
library Grants {
    uint256 private constant USES_LEFT = 128;
    uint256 private constant LAST_USE = 192;
    uint256 private constant EPOCH = 224;
    uint256 private constant REVOKED = 1 << 248;
    uint256 private constant ITEM_BOUND = 1 << 249;

    function pack(
        uint32 subject_,
        uint32 terms_,
        uint32 notBefore_,
        uint32 expiresAt_,
        uint32 maxUses,
        uint32 minInterval,
        uint24 epoch_,
        bool itemBound_
    ) internal pure returns (Grant) {
        return Grant.wrap(
            uint256(subject_) | uint256(terms_) << 32 | uint256(notBefore_) << 64 | uint256(expiresAt_) << 96
                | uint256(maxUses) << USES_LEFT | uint256(minInterval) << 160 | uint256(epoch_) << EPOCH
                | (itemBound_ ? ITEM_BOUND : 0)
        );
    }

    function isUnknown(Grant grant) internal pure returns (bool) {
        return Grant.unwrap(grant) == 0;
    }

    function subject(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant));
    }

    function terms(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant) >> 32);
    }

    function notBefore(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant) >> 64);
    }

    function expiresAt(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant) >> 96);
    }

    function usesLeft(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant) >> USES_LEFT);
    }

    /// @notice Second of the last use; zero for never.
    function lastUse(Grant grant) internal pure returns (uint32) {
        return uint32(Grant.unwrap(grant) >> LAST_USE);
    }

    /// @notice Whether it was used, and less than `minInterval` ago.
    function usedTooRecently(Grant grant) internal view returns (bool) {
        uint256 last = uint32(Grant.unwrap(grant) >> LAST_USE);
        unchecked {
            return block.timestamp < last + uint32(Grant.unwrap(grant) >> 160) && last != 0; // both of 32 bits
        }
    }

    function epoch(Grant grant) internal pure returns (uint24) {
        return uint24(Grant.unwrap(grant) >> EPOCH);
    }

    function revoked(Grant grant) internal pure returns (bool) {
        return Grant.unwrap(grant) & REVOKED != 0;
    }

    function itemBound(Grant grant) internal pure returns (bool) {
        return Grant.unwrap(grant) & ITEM_BOUND != 0;
    }

    function revoke(Grant grant) internal pure returns (Grant) {
        return Grant.wrap(Grant.unwrap(grant) | REVOKED);
    }

    function withEpoch(Grant grant, uint24 epoch_) internal pure returns (Grant) {
        uint256 cleared = Grant.unwrap(grant) & ~(uint256(type(uint24).max) << EPOCH);
        return Grant.wrap(cleared | uint256(epoch_) << EPOCH);
    }

    /// @notice One use less, the last one now. Only while `usesLeft` is not zero.
    function use(Grant grant) internal view returns (Grant) {
        unchecked {
            uint256 counted = Grant.unwrap(grant) - (1 << USES_LEFT); // borrows from no other part: one is left
            counted &= ~(uint256(type(uint32).max) << LAST_USE);
            return Grant.wrap(counted | uint256(uint32(block.timestamp)) << LAST_USE);
        }
    }

    /// @notice One use more, the last one then. Only while fewer are left than were granted.
    function giveBack(Grant grant, uint32 lastUse_) internal pure returns (Grant) {
        unchecked {
            uint256 counted = Grant.unwrap(grant) + (1 << USES_LEFT); // carries into no other part: less than 2^32 - 1 are left
            counted &= ~(uint256(type(uint32).max) << LAST_USE);
            return Grant.wrap(counted | uint256(lastUse_) << LAST_USE);
        }
    }
}

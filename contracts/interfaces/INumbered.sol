// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A contract whose events are numbered and chained, so that none can be left out, added or changed unseen.
/// @notice The first word of every event's data is its number, from 1 and without a gap. The running hash is, from zero,
/// `bytes24(keccak256(head | topics | data))`: 24 bytes of the hash so far, then the event's topics and its data as the log has them.
/// @dev OpenZeppelin's `EIP712DomainChanged` is declared in some of these contracts and never emitted; it is exempt.
interface INumbered {
    /// @return count Events so far, the number of the last one.
    /// @return head Running hash after it.
    function state() external view returns (uint64 count, bytes24 head);
}

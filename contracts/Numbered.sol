// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {INumbered} from "./interfaces/INumbered.sol";

/// @notice See {INumbered}.
/// @dev Events leave these contracts only through `_emit`: one that is not numbered cannot be written by accident. Their data is encoded by hand
/// with the number's word first (`abi.encode(NUMBER, ...)`), and filled in here.
abstract contract Numbered is INumbered {
    /// @dev The place of the number in an event's data, before it is known.
    uint256 internal constant NUMBER = 0;

    // Running hash (192 bits) | count (64 bits).
    uint256 private _chain;

    /// @inheritdoc INumbered
    function state() external view returns (uint64 count, bytes24 head) {
        return (uint64(_chain), bytes24(bytes32(_chain)));
    }

    function _emit(bytes32 selector, bytes32 first, bytes memory data) internal {
        _chained(abi.encodePacked(selector, first), data);
        assembly ("memory-safe") {
            log2(add(data, 0x20), mload(data), selector, first)
        }
    }

    function _emit(bytes32 selector, bytes32 first, bytes32 second, bytes memory data) internal {
        _chained(abi.encodePacked(selector, first, second), data);
        assembly ("memory-safe") {
            log3(add(data, 0x20), mload(data), selector, first, second)
        }
    }

    function _emit(bytes32 selector, bytes32 first, bytes32 second, bytes32 third, bytes memory data) internal {
        _chained(abi.encodePacked(selector, first, second, third), data);
        assembly ("memory-safe") {
            log4(add(data, 0x20), mload(data), selector, first, second, third)
        }
    }

    function _topic(address party) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(party)));
    }

    function _chained(bytes memory topics, bytes memory data) private {
        uint256 chain = _chain;
        uint64 count = uint64(chain) + 1;
        assembly ("memory-safe") {
            mstore(add(data, 0x20), count)
        }
        bytes32 hash = keccak256(bytes.concat(bytes24(bytes32(chain)), topics, data));
        _chain = uint256(bytes32(bytes24(hash))) | count;
    }
}

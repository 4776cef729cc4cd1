// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Sets of a dataset's fields, as bitmaps: bit i is the field at index i of the schema.
library Fields {
    /// @notice All fields of a schema with `count` fields, 0 to 256.
    function all(uint256 count) internal pure returns (uint256) {
        return count >= 256 ? type(uint256).max : (uint256(1) << count) - 1;
    }

    /// @notice Whether every field of `fields` is in `bound`.
    function within(uint256 fields, uint256 bound) internal pure returns (bool) {
        return fields & ~bound == 0;
    }
}

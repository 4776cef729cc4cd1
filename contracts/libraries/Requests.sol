// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessLog} from "../interfaces/IAccessLog.sol";

/// @title Walks over requests in the call data.
/// @dev In assembly, because the compiler would check the index and compute the place anew for each member that is read. A request is
/// five words of a static type, so they lie side by side, and the ABI decoder checked that all of them are there.
library Requests {
    function first(IAccessLog.Request[] calldata requests) internal pure returns (IAccessLog.Request calldata request) {
        assembly ("memory-safe") {
            request := requests.offset
        }
    }

    /// @notice The request after `request`; past the last one it must not be read.
    function next(IAccessLog.Request calldata request) internal pure returns (IAccessLog.Request calldata following) {
        assembly ("memory-safe") {
            following := add(request, 0xa0)
        }
    }
}

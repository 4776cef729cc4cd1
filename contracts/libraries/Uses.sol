// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAuthorizations} from "../interfaces/IAuthorizations.sol";
import {AuthorizationId} from "./Types.sol";

/// @title Calls `IAuthorizations.use`.
/// @dev In assembly, because the compiler lays out what each call returns in new memory and checks it there, which costs more than
/// the call. Here both words are read from where the call leaves them.
library Uses {
    function use(
        IAuthorizations authorizations,
        AuthorizationId authorization,
        uint256 terms,
        bytes32 item,
        bytes32 excess
    ) internal returns (uint256 outcome, uint256 termsNumber) {
        bytes4 selector = IAuthorizations.use.selector;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, selector)
            mstore(add(words, 0x04), authorization)
            mstore(add(words, 0x24), terms)
            mstore(add(words, 0x44), item)
            mstore(add(words, 0x64), excess)
            if iszero(call(gas(), authorizations, 0, words, 0x84, 0x00, 0x40)) {
                returndatacopy(words, 0, returndatasize())
                revert(words, returndatasize())
            }
            outcome := mload(0x00)
            termsNumber := mload(0x20)
        }
    }
}

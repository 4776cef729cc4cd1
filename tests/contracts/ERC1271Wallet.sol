// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title A contract that signs: what one key signed, until its owner says that it does not.
contract ERC1271Wallet is IERC1271 {
    address private immutable OWNER;
    bool private _locked;

    constructor(address owner) {
        OWNER = owner;
    }

    function lock() external {
        _locked = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bool valid = !_locked && ECDSA.recover(digest, signature) == OWNER;
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    ERC7913WebAuthnVerifier
} from "@openzeppelin/contracts/utils/cryptography/verifiers/ERC7913WebAuthnVerifier.sol";

/// @title OpenZeppelin's verifier as it is, under a name of this repository, so that both runners keep its artifact.
contract PasskeyVerifier is ERC7913WebAuthnVerifier {}

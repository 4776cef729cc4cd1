// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bounds of everything that a party can write, in bytes.
/// @dev Whoever follows the chain has to digest what a contract took, for ever, so what a contract takes is bounded here. Emptiness is
/// another question, with errors of its own.
library Texts {
    /// @dev Names, titles, codes, field names.
    uint256 internal constant NAME = 800;
    /// @dev Reasons, appeals, findings, justifications, and each text of a purpose.
    uint256 internal constant PROSE = 8_000;
    /// @dev Languages of a purpose.
    uint256 internal constant LANGUAGES = 8;
    /// @dev A confidentiality agreement: a contract between lawyers, of which the chain keeps the hash only.
    uint256 internal constant CONTRACT = 64_000;
    uint256 internal constant ENCRYPTION_KEY = 2_000;
    uint256 internal constant SIGNER = 512;

    error TooLong(uint256 length, uint256 bound);

    function requireWithin(uint256 length, uint256 bound) internal pure {
        if (length > bound) revert TooLong(length, bound);
    }
}

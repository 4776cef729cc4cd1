// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {VM} from "./Vm.sol";

/// @title A phone's passkey: signs as `navigator.credentials.get()` does, after the person touched it.
library Passkeys {
    uint256 private constant ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
    bytes1 private constant PRESENT_AND_VERIFIED = 0x05;

    /// @notice The signer as ERC-7913 bytes.
    function signer(address verifier, uint256 key) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = VM.publicKeyP256(key);
        return abi.encodePacked(verifier, x, y);
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        string memory challenge = Base64.encodeURL(abi.encodePacked(digest));
        string memory clientData = string.concat(
            '{"type":"webauthn.get","challenge":"', challenge, '","origin":"https://wallet.example"}'
        );
        bytes memory authenticatorData = abi.encodePacked(sha256("wallet.example"), PRESENT_AND_VERIFIED, uint32(0));
        bytes32 signed = sha256(abi.encodePacked(authenticatorData, sha256(bytes(clientData))));
        (bytes32 r, bytes32 s) = VM.signP256(key, signed);
        if (uint256(s) > ORDER / 2) s = bytes32(ORDER - uint256(s));
        // Where clientData has its challenge, and where its type.
        return abi.encode(r, s, uint256(23), uint256(1), authenticatorData, clientData);
    }
}

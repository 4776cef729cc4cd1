// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The test runner's side, as far as these tests use it. Forge and Hardhat offer the same at the same address.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);

    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);

    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);

    function prank(address sender) external;

    function warp(uint256 timestamp) external;

    function roll(uint256 blockNumber) external;

    function chainId(uint256 id) external;

    function assume(bool condition) external pure;

    function expectRevert(bytes calldata reason) external;

    function expectEmit(address emitter) external;

    function recordLogs() external;

    function getRecordedLogs() external returns (Log[] memory);

    function snapshotState() external returns (uint256 id);

    function revertToState(uint256 id) external returns (bool);

    function load(address target, bytes32 slot) external view returns (bytes32);

    function etch(address target, bytes calldata code) external;

    function store(address target, bytes32 slot, bytes32 value) external;

    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);

    function getBlockTimestamp() external view returns (uint256);

    function getCode(string calldata artifact) external view returns (bytes memory);

    function getNonce(address account) external view returns (uint64);

    function toString(uint256 value) external pure returns (string memory);

    function assertTrue(bool condition, string calldata why) external pure;

    function assertEq(bool left, bool right, string calldata why) external pure;

    function assertEq(uint256 left, uint256 right, string calldata why) external pure;

    function assertEq(address left, address right, string calldata why) external pure;

    function assertEq(bytes32 left, bytes32 right, string calldata why) external pure;

    function assertEq(bytes calldata left, bytes calldata right, string calldata why) external pure;
}

/// @dev Where both runners put it: the address of keccak256("hevm cheat code").
Vm constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

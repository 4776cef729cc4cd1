// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What happened? The atomic decision and its record.
/// @notice A recorder hands in requests; each is decided, counted and recorded in one go, allowed or denied. Records carry a
/// gapless sequence number from 1 and a running hash over everything recorded, so that none can be dropped or edited.
/// @dev The order of the checks is normative (`Outcome`). `ledger/policy.py` is the same decision in Python.
/// @dev Warning: the contract does not see the consumer's signature over the request (checking it here would cost as much
/// gas as all the rest). Keyholders check it before a release and replay checks it for every record, so a recorder that invents
/// requests obtains nothing and is found.
interface IAccessLog {
    /// @dev What one consumer asks for in one batch. Grouped, because a consumer is looked up once a batch.
    struct Batch {
        address consumer;
        Request[] requests;
    }

    /// @dev What the consumer signs (EIP-712 `AccessRequest`), in the order in which the record holds it.
    /// @param basis An authorization, an agreement, an emergency order or an unconditional dataset, by id. All stay when their purpose is retired.
    /// @param fields Bitmap over the dataset's schema.
    /// @param nonce Used once per consumer, in any order. Nonces that differ only in the low 8 bits share a storage slot.
    /// @param deadline Last second at which the request can be allowed; at most 2^40 - 1.
    /// @param item Root of one record; zero for all that the basis covers.
    struct Request {
        bytes32 basis;
        uint256 fields;
        uint256 nonce;
        uint256 deadline;
        bytes32 item;
    }

    /// @dev One access to all that its basis covers.
    /// @param entry consumer (20 bytes) | sequence (6 bytes) | deadline (5 bytes) | outcome (1 byte).
    event Accessed(bytes32 indexed basis, uint256 fields, uint256 nonce, bytes32 entry);

    /// @dev One access to one record.
    event ItemAccessed(bytes32 indexed basis, uint256 fields, uint256 nonce, bytes32 entry, bytes32 item);

    /// @dev Ends each call of `record`: who recorded, and the state after it.
    event Recorded(address indexed recorder, uint256 sequence, bytes32 head);

    /// @dev A batch whose consumer has not named the recorder: no access, no number, no nonce and no use of it.
    event BatchSkipped(address indexed consumer, address indexed recorder);

    error DeadlineTooLarge(uint256 deadline);
    /// @dev At deployment: these authorizations count uses for another access log.
    error NotWired(address authorizations);

    /// @notice Decides and records each request, in order. Only an active recorder; the batch of a consumer that has not named the
    /// caller is passed over, so that nobody's use is spent by a recorder of others, and no consumer can undo another's batch.
    function record(Batch[] calldata batches) external;

    /// @return sequence Number of accesses recorded.
    /// @return head Running hash, from zero: `keccak256(head | basis | data)` for each access event, in order.
    function state() external view returns (uint256 sequence, bytes32 head);

    function nonceUsed(address consumer, uint256 nonce) external view returns (bool);

    /// @notice The EIP-712 digest that the consumer signs.
    function digestOf(address consumer, Request calldata request) external view returns (bytes32);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Role} from "../libraries/Types.sol";

/// @title Who? Parties, their roles, status, encryption keys and restrictions.
/// @notice The authority (the contract's owner, handed over in two steps) admits parties and withdraws them. Regulators
/// restrict consumers for a time, with a reason; the consumer may appeal; a regulator may lift.
/// @dev Warning: names, reasons and appeals are public for ever. They must not name a natural person.
interface IRegistry {
    /// @param roles Set of roles, bit `1 << uint8(role)` each; zero for an address never admitted.
    /// @param active Whether the party is admitted now.
    /// @param restrictedUntil Second until which (exclusive) accesses are denied; zero when never restricted.
    struct Standing {
        uint8 roles;
        bool active;
        uint64 restrictedUntil;
    }

    event PartyAdmitted(address indexed party, uint8 roles, string name);
    event PartyWithdrawn(address indexed party);
    event EncryptionKeySet(address indexed party, bytes key);
    event ConsumerRestricted(address indexed consumer, address indexed regulator, uint64 until, string reason);
    event RestrictionAppealed(address indexed consumer, string statement);
    event RestrictionLifted(address indexed consumer, address indexed regulator, string reason);
    event ContractAnnounced(string name, address indexed deployed);

    error NoRoles(address party);
    error UnknownRoles(uint8 roles);
    error EmptyName();
    error PartyUnknown(address party);
    error PartyInactive(address party);
    error RoleMissing(address party, Role role);
    error EmptyEncryptionKey();
    error EmptyReason();
    error EndNotInFuture(uint64 until);
    error NotRestricted(address party);
    error NotAContract(address deployed);
    error AuthorityCannotResign();

    /// @notice Admits `party` with exactly these roles, or changes the roles and the name of one admitted before.
    /// A restriction in force stays in force.
    function admit(address party, uint8 roles, string calldata name) external;

    /// @notice Withdraws an admitted party: from the next transaction on it may do nothing. `admit` lets it in again.
    function withdraw(address party) external;

    /// @notice Sets the caller's HPKE public key: one suite byte, then the key (docs/spec/custody.md).
    function setEncryptionKey(bytes calldata key) external;

    /// @notice Denies every access of `consumer` until `until` (seconds since 1970). A second restriction replaces the first.
    function restrict(address consumer, uint64 until, string calldata reason) external;

    /// @notice The restricted consumer's appeal, recorded.
    function appeal(string calldata statement) external;

    /// @notice Ends a restriction before its time.
    function lift(address consumer, string calldata reason) external;

    /// @notice Announces the address at which one of the system's contracts is deployed. A new version is a new address.
    function announce(string calldata name, address deployed) external;

    function standingOf(address party) external view returns (Standing memory);

    /// @notice Whether `party` is admitted now and has `role`. Says nothing of restrictions.
    function isActive(address party, Role role) external view returns (bool);

    /// @notice Reverts with the reason when `party` is not admitted now with `role`.
    function requireActive(address party, Role role) external view;

    function encryptionKeyOf(address party) external view returns (bytes memory);

    /// @notice The authority, or the zero address never: it cannot be renounced.
    function authority() external view returns (address);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Role} from "./libraries/Types.sol";

/// @notice See {IRegistry}.
contract Registry is IRegistry, Ownable2Step {
    uint8 private constant ALL_ROLES = uint8((1 << (uint8(type(Role).max) + 1)) - 1);

    mapping(address party => Standing standing) private _standings;
    mapping(address party => bytes key) private _encryptionKeys;

    constructor(address authority_) Ownable(authority_) {}

    modifier onlyRegulator() {
        requireActive(msg.sender, Role.Regulator);
        _;
    }

    /// @inheritdoc IRegistry
    function admit(address party, uint8 roles, string calldata name) external onlyOwner {
        if (roles == 0) revert NoRoles(party);
        if (roles & ~ALL_ROLES != 0) revert UnknownRoles(roles);
        if (bytes(name).length == 0) revert EmptyName();

        Standing storage standing = _standings[party];
        standing.roles = roles;
        standing.active = true;
        emit PartyAdmitted(party, roles, name);
    }

    /// @inheritdoc IRegistry
    function withdraw(address party) external onlyOwner {
        _requireAdmitted(party);

        _standings[party].active = false;
        emit PartyWithdrawn(party);
    }

    /// @inheritdoc IRegistry
    function setEncryptionKey(bytes calldata key) external {
        _requireAdmitted(msg.sender);
        if (key.length < 2) revert EmptyEncryptionKey();

        _encryptionKeys[msg.sender] = key;
        emit EncryptionKeySet(msg.sender, key);
    }

    /// @inheritdoc IRegistry
    function restrict(address consumer, uint64 until, string calldata reason) external onlyRegulator {
        if (!_hasRole(consumer, Role.Consumer)) revert RoleMissing(consumer, Role.Consumer);
        if (until <= block.timestamp) revert EndNotInFuture(until);
        if (bytes(reason).length == 0) revert EmptyReason();

        _standings[consumer].restrictedUntil = until;
        emit ConsumerRestricted(consumer, msg.sender, until, reason);
    }

    /// @inheritdoc IRegistry
    function appeal(string calldata statement) external {
        _requireRestricted(msg.sender);
        if (bytes(statement).length == 0) revert EmptyReason();

        emit RestrictionAppealed(msg.sender, statement);
    }

    /// @inheritdoc IRegistry
    function lift(address consumer, string calldata reason) external onlyRegulator {
        _requireRestricted(consumer);
        if (bytes(reason).length == 0) revert EmptyReason();

        _standings[consumer].restrictedUntil = 0;
        emit RestrictionLifted(consumer, msg.sender, reason);
    }

    /// @inheritdoc IRegistry
    function announce(string calldata name, address deployed) external onlyOwner {
        if (bytes(name).length == 0) revert EmptyName();
        if (deployed.code.length == 0) revert NotAContract(deployed);

        emit ContractAnnounced(name, deployed);
    }

    /// @notice Refused: without an authority nobody could be admitted or withdrawn any more.
    function renounceOwnership() public view override onlyOwner {
        revert AuthorityCannotResign();
    }

    /// @inheritdoc IRegistry
    function standingOf(address party) external view returns (Standing memory) {
        return _standings[party];
    }

    /// @inheritdoc IRegistry
    function isActive(address party, Role role) external view returns (bool) {
        return _standings[party].active && _hasRole(party, role);
    }

    /// @inheritdoc IRegistry
    function encryptionKeyOf(address party) external view returns (bytes memory) {
        return _encryptionKeys[party];
    }

    /// @inheritdoc IRegistry
    function authority() external view returns (address) {
        return owner();
    }

    /// @inheritdoc IRegistry
    function requireActive(address party, Role role) public view {
        _requireAdmitted(party);
        if (!_hasRole(party, role)) revert RoleMissing(party, role);
    }

    function _requireAdmitted(address party) private view {
        Standing storage standing = _standings[party];
        if (standing.roles == 0) revert PartyUnknown(party);
        if (!standing.active) revert PartyInactive(party);
    }

    function _requireRestricted(address party) private view {
        if (_standings[party].restrictedUntil <= block.timestamp) revert NotRestricted(party);
    }

    function _hasRole(address party, Role role) private view returns (bool) {
        return _standings[party].roles & (1 << uint8(role)) != 0;
    }
}

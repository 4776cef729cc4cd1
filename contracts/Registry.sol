// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRegistry} from "./interfaces/IRegistry.sol";
import {Texts} from "./libraries/Texts.sol";
import {Role} from "./libraries/Types.sol";
import {Numbered} from "./Numbered.sol";

/// @notice See {IRegistry}.
contract Registry is IRegistry, Numbered {
    uint8 private constant ALL_ROLES = uint8((1 << (uint8(type(Role).max) + 1)) - 1);
    uint8 private constant REGULATOR = uint8(1 << uint8(Role.Regulator));
    uint8 private constant IDENTITY_AUTHORITY = uint8(1 << uint8(Role.IdentityAuthority));
    uint8 private constant ANNOUNCED_ROLES = REGULATOR | IDENTITY_AUTHORITY;
    // Who gives data out or reads them, and so must not also say which ids are whose.
    uint8 private constant USERS_OF_DATA = uint8(1 << uint8(Role.Provider) | 1 << uint8(Role.Consumer));
    uint64 private constant LEAST_DELAY = 3 days;
    uint64 private constant LEAST_TIME_TO_TAKE = 1 hours;
    uint64 private constant LONGEST_RESTRICTION = 5 * 365 days;

    /// @inheritdoc IRegistry
    bool public immutable TRIAL;
    /// @inheritdoc IRegistry
    uint64 public immutable ADMISSION_DELAY;

    address private _authority;
    // Number of times that the authority was handed over. What was announced before one counts no more after it.
    uint32 private _term;
    // Active ones: the last cannot be withdrawn.
    uint32 private _regulators;
    mapping(address party => Standing standing) private _standings;
    // All but the first one, which is in the standing.
    mapping(address consumer => mapping(address recorder => bool named)) private _recorders;
    mapping(address party => bytes key) private _encryptionKeys;
    mapping(bytes32 nameHash => address party) private _named;
    mapping(uint32 term => mapping(address party => Admission admission)) private _admissions;
    mapping(address regulator => uint64 until) private _vetoUntil;
    mapping(bytes32 changeId => uint64 effectiveAt) private _changes;
    mapping(address verifier => bool listed) private _verifiers;
    mapping(address identityAuthority => address successor) private _successors;

    constructor(
        address authority_,
        bool trial,
        uint64 admissionDelay,
        Founder[] memory founders,
        address[] memory verifiers
    ) {
        if (!trial && admissionDelay < LEAST_DELAY) {
            revert AdmissionDelayTooShort(admissionDelay);
        }
        TRIAL = trial;
        ADMISSION_DELAY = admissionDelay;
        if (authority_ == address(0)) revert PartyUnknown(authority_);
        _makeChange(Change.Authority, authority_, address(0));
        for (uint256 i = 0; i < verifiers.length; ++i) {
            _makeChange(Change.Verifier, verifiers[i], address(0));
        }
        for (uint256 i = 0; i < founders.length; ++i) {
            Founder memory founder = founders[i];
            _takeName(founder.party, founder.name);
            _requireRoles(founder.party, founder.roles);
            _admit(founder.party, founder.roles, founder.name);
        }
        if (!trial && _regulators < 2) revert RegulatorsTooFew(_regulators);
    }

    modifier onlyAuthority() {
        if (msg.sender != _authority) revert NotAuthority(msg.sender);
        _;
    }

    modifier onlyRegulator() {
        requireActive(msg.sender, Role.Regulator);
        _;
    }

    /// @inheritdoc IRegistry
    function admit(address party, uint8 roles, string memory name) external onlyAuthority {
        _requireRoles(party, roles);
        _requireNotPending(_admissions[_term][party].effectiveAt);
        _takeName(party, name);
        delete _admissions[_term][party];
        if (ADMISSION_DELAY == 0 || roles & ~_rolesNow(party) & ANNOUNCED_ROLES == 0) {
            _admit(party, roles, name);
            return;
        }

        uint64 effectiveAt = _dueAt();
        _admissions[_term][party] = Admission({roles: roles, effectiveAt: effectiveAt, name: name});
        _emit(AdmissionAnnounced.selector, _topic(party), abi.encode(NUMBER, roles, name, effectiveAt));
    }

    /// @inheritdoc IRegistry
    /// @dev No guard on the roles: they were checked when it was announced, by this same authority.
    function activate(address party) external {
        Admission memory due = _admissions[_term][party];
        _requireDue(due.effectiveAt);

        delete _admissions[_term][party];
        _admit(party, due.roles, due.name);
    }

    /// @inheritdoc IRegistry
    function vetoAdmission(address party, string calldata reason) external {
        _requireVeto(_admissions[_term][party].effectiveAt, reason);

        delete _admissions[_term][party];
        _emit(AdmissionVetoed.selector, _topic(party), _topic(msg.sender), abi.encode(NUMBER, reason));
    }

    /// @inheritdoc IRegistry
    function retractAdmission(address party) external onlyAuthority {
        _requirePending(_admissions[_term][party].effectiveAt);

        delete _admissions[_term][party];
        _emit(AdmissionRetracted.selector, _topic(party), abi.encode(NUMBER));
    }

    /// @inheritdoc IRegistry
    function withdraw(address party) external onlyAuthority {
        _requireAdmitted(party);

        delete _admissions[_term][party];
        if (_rolesNow(party) & REGULATOR != 0) _releaseRegulator(party);
        _standings[party].active = false;
        _emit(PartyWithdrawn.selector, _topic(party), abi.encode(NUMBER));
    }

    /// @inheritdoc IRegistry
    function announceChange(Change change, address first, address second) external onlyAuthority {
        _requireChange(change, first, second);
        bytes32 changeId = _changeId(change, first, second);
        _requireNotPending(_changes[changeId]);

        uint64 effectiveAt = _dueAt();
        _changes[changeId] = effectiveAt;
        _emit(ChangeAnnounced.selector, _topic(change), _topic(first), _topic(second), abi.encode(NUMBER, effectiveAt));
    }

    /// @inheritdoc IRegistry
    function makeChange(Change change, address first, address second) external {
        bytes32 changeId = _changeId(change, first, second);
        _requireDue(_changes[changeId]);
        _requireChange(change, first, second);
        // So that the authority never passes to an address that nobody can sign for.
        if (change == Change.Authority && msg.sender != first) revert NotAuthority(msg.sender);

        delete _changes[changeId];
        _makeChange(change, first, second);
    }

    /// @inheritdoc IRegistry
    function vetoChange(Change change, address first, address second, string calldata reason) external {
        bytes32 changeId = _changeId(change, first, second);
        _requireVeto(_changes[changeId], reason);

        delete _changes[changeId];
        _emit(
            ChangeVetoed.selector, _topic(change), _topic(first), _topic(second), abi.encode(NUMBER, msg.sender, reason)
        );
    }

    /// @inheritdoc IRegistry
    function retractChange(Change change, address first, address second) external onlyAuthority {
        // Else a thief of its key would retract, for ever again, the hand-over by which it loses it.
        if (change == Change.Authority) revert HandOverStands(first);
        bytes32 changeId = _changeId(change, first, second);
        _requirePending(_changes[changeId]);

        delete _changes[changeId];
        _emit(ChangeRetracted.selector, _topic(change), _topic(first), _topic(second), abi.encode(NUMBER));
    }

    /// @inheritdoc IRegistry
    function nameRecorder(address recorder) external {
        _requireAdmitted(msg.sender);
        if (recorder == address(0) || mayRecord(msg.sender, recorder)) revert AlreadyNamed(recorder);

        Standing storage standing = _standings[msg.sender];
        if (standing.recorder == address(0)) standing.recorder = recorder;
        else _recorders[msg.sender][recorder] = true;
        _emit(RecorderNamed.selector, _topic(msg.sender), _topic(recorder), abi.encode(NUMBER));
    }

    /// @inheritdoc IRegistry
    /// @dev No guard on the party's standing: whoever named may always take it back.
    function dismissRecorder(address recorder) external {
        if (!mayRecord(msg.sender, recorder)) revert NotNamed(recorder);

        Standing storage standing = _standings[msg.sender];
        if (standing.recorder == recorder) standing.recorder = address(0);
        else _recorders[msg.sender][recorder] = false;
        _emit(RecorderDismissed.selector, _topic(msg.sender), _topic(recorder), abi.encode(NUMBER));
    }

    /// @inheritdoc IRegistry
    function setEncryptionKey(bytes calldata key) external {
        _requireAdmitted(msg.sender);
        if (key.length < 2) revert EmptyEncryptionKey();
        Texts.requireWithin(key.length, Texts.ENCRYPTION_KEY);

        _encryptionKeys[msg.sender] = key;
        _emit(EncryptionKeySet.selector, _topic(msg.sender), abi.encode(NUMBER, key));
    }

    /// @inheritdoc IRegistry
    function restrict(address consumer, uint64 until, string calldata reason) external onlyRegulator {
        if (!_hasRole(consumer, Role.Consumer)) revert RoleMissing(consumer, Role.Consumer);
        if (until <= block.timestamp) revert EndNotInFuture(until);
        if (until > block.timestamp + LONGEST_RESTRICTION) revert EndTooFar(until);
        _requireReason(reason);

        _standings[consumer].restrictedUntil = until;
        _emit(ConsumerRestricted.selector, _topic(consumer), _topic(msg.sender), abi.encode(NUMBER, until, reason));
    }

    /// @inheritdoc IRegistry
    function appeal(string calldata statement) external {
        _requireRestricted(msg.sender);
        _requireReason(statement);

        _emit(RestrictionAppealed.selector, _topic(msg.sender), abi.encode(NUMBER, statement));
    }

    /// @inheritdoc IRegistry
    function lift(address consumer, string calldata reason) external onlyRegulator {
        _requireRestricted(consumer);
        _requireReason(reason);

        _standings[consumer].restrictedUntil = 0;
        _emit(RestrictionLifted.selector, _topic(consumer), _topic(msg.sender), abi.encode(NUMBER, reason));
    }

    /// @inheritdoc IRegistry
    function announce(string calldata name, address deployed) external onlyAuthority {
        if (bytes(name).length == 0) revert EmptyName();
        Texts.requireWithin(bytes(name).length, Texts.NAME);
        if (deployed.code.length == 0) revert NotAContract(deployed);

        _emit(ContractAnnounced.selector, _topic(deployed), abi.encode(NUMBER, name));
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
    function partyNamed(string calldata name) external view returns (address) {
        return _named[keccak256(bytes(name))];
    }

    /// @inheritdoc IRegistry
    function admissionOf(address party) external view returns (Admission memory pending) {
        Admission storage announced = _admissions[_term][party];
        if (_isPending(announced.effectiveAt)) pending = announced;
    }

    /// @inheritdoc IRegistry
    function changeDueAt(Change change, address first, address second) external view returns (uint64) {
        uint64 effectiveAt = _changes[_changeId(change, first, second)];
        return _isPending(effectiveAt) ? effectiveAt : 0;
    }

    /// @inheritdoc IRegistry
    function vetoUntil(address regulator) external view returns (uint64) {
        return _vetoUntil[regulator];
    }

    /// @inheritdoc IRegistry
    function isVerifier(address verifier) external view returns (bool) {
        return _verifiers[verifier];
    }

    /// @inheritdoc IRegistry
    function successorOf(address identityAuthority) external view returns (address) {
        return _successors[identityAuthority];
    }

    /// @inheritdoc IRegistry
    function authority() external view returns (address) {
        return _authority;
    }

    /// @inheritdoc IRegistry
    function requireActive(address party, Role role) public view {
        _requireAdmitted(party);
        if (!_hasRole(party, role)) revert RoleMissing(party, role);
    }

    /// @inheritdoc IRegistry
    function mayRecord(address consumer, address recorder) public view returns (bool) {
        if (recorder == address(0)) return false;
        return _standings[consumer].recorder == recorder || _recorders[consumer][recorder];
    }

    function _admit(address party, uint8 roles, string memory name) private {
        uint8 before = _rolesNow(party);
        if (before & ~roles & REGULATOR != 0) _releaseRegulator(party);
        if (roles & ~before & REGULATOR != 0) ++_regulators;
        Standing storage standing = _standings[party];
        standing.roles = roles;
        standing.active = true;
        _emit(PartyAdmitted.selector, _topic(party), abi.encode(NUMBER, roles, name));
    }

    /// @dev Keeps the veto for a while: else the authority could withdraw first who would object.
    function _releaseRegulator(address party) private {
        if (_regulators == 1) revert LastRegulator(party);
        --_regulators;
        _vetoUntil[party] = _dueAt();
    }

    function _makeChange(Change change, address first, address second) private {
        if (change == Change.Authority) (_authority, _term) = (first, _term + 1);
        else if (change == Change.Verifier) _verifiers[first] = true;
        else _successors[first] = second;
        _emit(ChangeMade.selector, _topic(change), _topic(first), _topic(second), abi.encode(NUMBER));
    }

    function _takeName(address party, string memory name) private {
        if (bytes(name).length == 0) revert EmptyName();
        Texts.requireWithin(bytes(name).length, Texts.NAME);
        bytes32 nameHash = keccak256(bytes(name));
        address first = _named[nameHash];
        if (first == address(0)) _named[nameHash] = party;
        else if (first != party) revert NameTaken(name, first);
    }

    function _requireRoles(address party, uint8 roles) private view {
        if (roles == 0) revert NoRoles(party);
        if (roles & ~ALL_ROLES != 0) revert UnknownRoles(roles);
        if (roles & REGULATOR != 0 && (roles != REGULATOR || party == _authority)) {
            revert RegulatorNotIndependent(party);
        }
        if (roles & IDENTITY_AUTHORITY != 0 && roles & USERS_OF_DATA != 0) {
            revert IdentityAuthorityNotIndependent(party);
        }
    }

    /// @dev Asked when a change is announced and when it is made: what it rests on may have changed in between.
    function _requireChange(Change change, address first, address second) private view {
        if (change == Change.Authority) {
            if (first == address(0) || second != address(0)) revert PartyUnknown(first);
            // It would change nothing but end what else is announced.
            if (first == _authority) revert AlreadyAuthority(first);
            if (_standings[first].roles & REGULATOR != 0) revert RegulatorNotIndependent(first);
        } else if (change == Change.Verifier) {
            if (first.code.length == 0 || second != address(0)) revert NotAContract(first);
        } else {
            if (!_hasRole(first, Role.IdentityAuthority)) revert RoleMissing(first, Role.IdentityAuthority);
            requireActive(second, Role.IdentityAuthority);
        }
    }

    function _requireVeto(uint64 effectiveAt, string calldata reason) private view {
        if (_rolesNow(msg.sender) & REGULATOR == 0 && _vetoUntil[msg.sender] <= block.timestamp) {
            revert NoVeto(msg.sender);
        }
        _requirePending(effectiveAt);
        if (effectiveAt <= block.timestamp) revert AlreadyEffective(effectiveAt);
        _requireReason(reason);
    }

    function _requireDue(uint64 effectiveAt) private view {
        _requirePending(effectiveAt);
        if (effectiveAt > block.timestamp) revert NotEffectiveYet(effectiveAt);
    }

    function _requirePending(uint64 effectiveAt) private view {
        if (effectiveAt == 0) revert NotAnnounced();
        if (!_isPending(effectiveAt)) revert Lapsed(effectiveAt);
    }

    /// @dev Else who announces the same again puts it off for ever.
    function _requireNotPending(uint64 effectiveAt) private view {
        if (_isPending(effectiveAt)) revert AlreadyAnnounced(effectiveAt);
    }

    function _requireAdmitted(address party) private view {
        Standing storage standing = _standings[party];
        if (standing.roles == 0) revert PartyUnknown(party);
        if (!standing.active) revert PartyInactive(party);
    }

    function _requireRestricted(address party) private view {
        if (_standings[party].restrictedUntil <= block.timestamp) revert NotRestricted(party);
    }

    function _rolesNow(address party) private view returns (uint8) {
        Standing storage standing = _standings[party];
        return standing.active ? standing.roles : 0;
    }

    function _hasRole(address party, Role role) private view returns (bool) {
        return _standings[party].roles & (1 << uint8(role)) != 0;
    }

    function _dueAt() private view returns (uint64) {
        return uint64(block.timestamp) + ADMISSION_DELAY;
    }

    /// @dev Whether something is announced, and neither made, stopped nor lapsed.
    function _isPending(uint64 effectiveAt) private view returns (bool) {
        uint256 timeToTake = ADMISSION_DELAY < LEAST_TIME_TO_TAKE ? LEAST_TIME_TO_TAKE : ADMISSION_DELAY;
        return effectiveAt != 0 && block.timestamp < effectiveAt + timeToTake;
    }

    /// @dev With the term: what one authority announced, its successor did not.
    function _changeId(Change change, address first, address second) private view returns (bytes32) {
        return keccak256(abi.encode(_term, change, first, second));
    }

    function _topic(Change change) private pure returns (bytes32) {
        return bytes32(uint256(change));
    }

    function _requireReason(string calldata reason) private pure {
        if (bytes(reason).length == 0) revert EmptyReason();
        Texts.requireWithin(bytes(reason).length, Texts.PROSE);
    }
}

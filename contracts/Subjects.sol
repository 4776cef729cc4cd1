// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISubjects} from "./interfaces/ISubjects.sol";
import {Texts} from "./libraries/Texts.sol";
import {Role, SubjectId} from "./libraries/Types.sol";
import {Numbered} from "./Numbered.sol";

/// @notice See {ISubjects}.
abstract contract Subjects is ISubjects, EIP712, Numbered {
    struct Place {
        uint32 number;
        address registrar;
        uint64 linksFrom;
    }

    /// @dev One slot, and nothing above the epoch but what halts: see `_halted`.
    struct Subject {
        uint24 epoch;
        bool frozen;
        bool closed;
        uint64 recoveryAt;
    }

    /// @dev What a use never reads.
    /// @param era Number of times that all guardians ended.
    struct Control {
        bytes32 frozenBy;
        uint64 liftableAt;
        uint32 era;
    }

    struct Guardian {
        uint64 consentUntil;
        uint64 stopUntil;
        uint32 era;
    }

    bytes32 private constant FREEZE_TYPEHASH =
        keccak256("Freeze(bytes32 subject,bool frozen,bytes32 nonce,uint64 deadline)");
    bytes32 private constant ROTATION_TYPEHASH =
        keccak256("SignerRotation(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant VETO_TYPEHASH =
        keccak256("RecoveryVeto(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant GUARDIAN_TYPEHASH =
        keccak256("GuardianAppointment(bytes32 subject,bytes guardian,uint64 expiresAt,bytes32 nonce,uint64 deadline)");
    bytes32 private constant OPENING_TYPEHASH =
        keccak256("SubjectOpening(bytes32 subject,bytes32 nonce,uint64 deadline)");

    uint64 private constant LEAST_DELAY = 3 days;
    uint64 private constant STOP_AFTER_ROTATION = 30 days;
    uint64 private constant STOP_AFTER_RECOVERY = 365 days;
    uint256 private constant ACCOUNT = 20;

    IRegistry public immutable REGISTRY;
    /// @notice Seconds between the start of a recovery and its taking effect.
    uint64 public immutable RECOVERY_DELAY;

    mapping(SubjectId subject => Place) private _places;
    mapping(uint32 number => Subject) private _subjects;
    mapping(uint32 number => Control) private _controls;
    mapping(uint32 number => bytes signer) private _signers;
    mapping(uint32 number => bytes signer) private _pendingSigners;
    mapping(uint32 number => mapping(bytes32 signerHash => Guardian)) private _guardians;
    mapping(uint32 number => mapping(uint32 era => uint64 endedAt)) private _eraEnds;
    // Until when (exclusive) a replaced key may stop.
    mapping(uint32 number => mapping(bytes32 signerHash => uint64 stopUntil)) private _replaced;
    mapping(bytes32 digest => bool used) private _used;
    uint32 private _subjectCount;

    constructor(IRegistry registry, uint64 recoveryDelay) EIP712("Quancheng", "1") {
        if (recoveryDelay == 0 || (recoveryDelay < LEAST_DELAY && !registry.TRIAL())) {
            revert RecoveryDelayTooShort(recoveryDelay);
        }
        REGISTRY = registry;
        RECOVERY_DELAY = recoveryDelay;
    }

    /// @dev The identity authority that registered the subject, or its successor.
    modifier onlyRegistrar(SubjectId subject) {
        _requireRegistrar(subject);
        _;
    }

    /// @inheritdoc ISubjects
    function registerSubjects(SubjectId[] calldata subjects, bytes[] calldata signers) external {
        REGISTRY.requireActive(msg.sender, Role.IdentityAuthority);
        if (subjects.length != signers.length) revert LengthMismatch(subjects.length, signers.length);
        for (uint256 i = 0; i < subjects.length; ++i) {
            _register(subjects[i], signers[i]);
        }
    }

    /// @inheritdoc ISubjects
    function setFrozen(SubjectId subject, bool frozen, bytes32 nonce, uint64 deadline, Approval calldata approval)
        external
    {
        uint32 number = _numberOf(subject);
        bytes32 signerHash = keccak256(approval.signer);
        if (frozen) _requireStopper(subject, number, approval);
        else _requireLifter(subject, number, signerHash);
        _requireDeadline(deadline);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(FREEZE_TYPEHASH, subject, frozen, nonce, deadline)));
        _requireSignature(digest, approval);
        _useOnce(digest);

        if (frozen) _freeze(subject, number, signerHash);
        else _unfreeze(subject, number, signerHash);
    }

    /// @inheritdoc ISubjects
    function rotateSigner(
        SubjectId subject,
        bytes calldata newSigner,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external {
        uint32 number = _numberOf(subject);
        _requireOpen(subject, number);
        _requireSignerShape(newSigner);
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(ROTATION_TYPEHASH, subject, keccak256(newSigner), nonce, deadline)));
        _requireCurrent(subject, number, digest, deadline, approval);

        uint64 stopUntil = _replaceSigner(number, newSigner, STOP_AFTER_ROTATION);
        _emit(SignerRotated.selector, _topic(subject), abi.encode(NUMBER, newSigner, stopUntil));
    }

    /// @inheritdoc ISubjects
    function appointGuardian(
        SubjectId subject,
        bytes calldata guardian,
        uint64 expiresAt,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external {
        uint32 number = _numberOf(subject);
        _requireOpen(subject, number);
        _requireSignerShape(guardian);
        if (expiresAt != 0 && (expiresAt <= block.timestamp || expiresAt > type(uint40).max)) {
            revert EndNotInFuture(expiresAt);
        }
        bytes32 guardianHash = keccak256(guardian);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(GUARDIAN_TYPEHASH, subject, guardianHash, expiresAt, nonce, deadline))
        );
        _requireCurrent(subject, number, digest, deadline, approval);

        // Who may stop now may so for a while, also when dismissed or given an earlier end: a thief's first act would be that.
        uint64 stopUntil = _guardianStopUntil(number, guardianHash) > block.timestamp ? _delayed() : 0;
        if (stopUntil < expiresAt) stopUntil = expiresAt;
        _guardians[number][guardianHash] =
            Guardian({consentUntil: expiresAt, stopUntil: stopUntil, era: _controls[number].era});
        if (expiresAt == 0) {
            _emit(GuardianDismissed.selector, _topic(subject), abi.encode(NUMBER, guardianHash, stopUntil));
        } else {
            _emit(GuardianAppointed.selector, _topic(subject), abi.encode(NUMBER, guardianHash, expiresAt));
        }
    }

    /// @inheritdoc ISubjects
    function startRecovery(SubjectId subject, bytes calldata newSigner) external onlyRegistrar(subject) {
        uint32 number = _numberOf(subject);
        _requireOpen(subject, number);
        _requireSignerShape(newSigner);

        uint64 effectiveAt = _delayed();
        _subjects[number].recoveryAt = effectiveAt;
        _pendingSigners[number] = newSigner;
        _emit(RecoveryStarted.selector, _topic(subject), abi.encode(NUMBER, newSigner, effectiveAt));
    }

    /// @inheritdoc ISubjects
    function vetoRecovery(
        SubjectId subject,
        bytes calldata newSigner,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external {
        uint32 number = _numberOf(subject);
        uint64 recoveryAt = _subjects[number].recoveryAt;
        bytes32 newSignerHash = keccak256(newSigner);
        if (recoveryAt == 0 || newSignerHash != keccak256(_pendingSigners[number])) revert RecoveryNotPending(subject);
        if (recoveryAt <= block.timestamp && _isRegistrarActive(subject)) revert RecoveryDue(subject, recoveryAt);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(VETO_TYPEHASH, subject, newSignerHash, nonce, deadline)));
        _requireCurrent(subject, number, digest, deadline, approval);

        _endRecovery(number);
        _emit(RecoveryVetoed.selector, _topic(subject), abi.encode(NUMBER, newSigner));
    }

    /// @inheritdoc ISubjects
    function completeRecovery(SubjectId subject) external {
        uint32 number = _numberOf(subject);
        Subject storage recovered = _subjects[number];
        if (recovered.recoveryAt == 0) revert RecoveryNotPending(subject);
        if (recovered.recoveryAt > block.timestamp) revert RecoveryNotDue(subject, recovered.recoveryAt);
        // What a withdrawn one started, perhaps a thief of its key, is its successor's to complete, and nobody else's.
        if (!_isRegistrarActive(subject)) _requireRegistrar(subject);

        bytes memory newSigner = _pendingSigners[number];
        uint24 epoch = ++recovered.epoch;
        uint64 stopUntil = _replaceSigner(number, newSigner, STOP_AFTER_RECOVERY);
        _endRecovery(number);
        _emit(RecoveryCompleted.selector, _topic(subject), abi.encode(NUMBER, newSigner, epoch, stopUntil));
    }

    /// @inheritdoc ISubjects
    function closeSubject(SubjectId subject) external onlyRegistrar(subject) {
        uint32 number = _numberOf(subject);
        if (_subjects[number].closed) revert SubjectIsClosed(subject);

        _subjects[number].closed = true;
        _endRecovery(number);
        _emit(SubjectClosed.selector, _topic(subject), abi.encode(NUMBER));
    }

    /// @inheritdoc ISubjects
    function openSubject(SubjectId subject, bytes32 nonce, uint64 deadline, Approval calldata approval)
        external
        onlyRegistrar(subject)
    {
        uint32 number = _numberOf(subject);
        if (!_subjects[number].closed) revert SubjectNotClosed(subject);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(OPENING_TYPEHASH, subject, nonce, deadline)));
        _requireCurrent(subject, number, digest, deadline, approval);

        _subjects[number].closed = false;
        _emit(SubjectOpened.selector, _topic(subject), abi.encode(NUMBER));
    }

    /// @inheritdoc ISubjects
    /// @dev The block's time and no other: an end in the future would refuse links that are yet to come.
    function endLinks(SubjectId subject) external onlyRegistrar(subject) {
        _places[subject].linksFrom = uint64(block.timestamp);
        _emit(LinksEnded.selector, _topic(subject), abi.encode(NUMBER, block.timestamp));
    }

    /// @inheritdoc ISubjects
    function subjectOf(SubjectId subject) external view returns (SubjectState memory state_) {
        Place storage place = _places[subject];
        uint32 number = place.number;
        Subject storage found = _subjects[number];
        Control storage control = _controls[number];
        state_.number = number;
        state_.registrar = place.registrar;
        state_.linksFrom = place.linksFrom;
        state_.frozen = found.frozen;
        state_.closed = found.closed;
        state_.epoch = found.epoch;
        state_.recoveryAt = found.recoveryAt;
        state_.frozenBy = control.frozenBy;
        state_.liftableAt = control.liftableAt;
        state_.signer = _signers[number];
        state_.pendingSigner = _pendingSigners[number];
    }

    /// @inheritdoc ISubjects
    function rightsOf(SubjectId subject, bytes calldata signer)
        external
        view
        returns (uint64 consentUntil, uint64 stopUntil)
    {
        uint32 number = _numberOf(subject);
        bytes32 signerHash = keccak256(signer);
        return (_consentUntil(number, signerHash), _stopUntil(number, signerHash));
    }

    function _numberOf(SubjectId subject) internal view returns (uint32 number) {
        number = _places[subject].number;
        if (number == 0) revert SubjectUnknown(subject);
    }

    function _epochOf(uint32 number) internal view returns (uint24) {
        return _subjects[number].epoch;
    }

    /// @dev Whether an authorization of this subject, signed or confirmed in `epoch`, is halted now: frozen, closed, under recovery, or of
    /// another epoch. One comparison, because in the subject's slot the epoch is lowest and all others are zero when they do not halt.
    function _halted(uint32 number, uint24 epoch) internal view returns (bool halted) {
        Subject storage found = _subjects[number];
        uint256 notHalted = epoch;
        assembly ("memory-safe") {
            halted := iszero(eq(sload(found.slot), notHalted))
        }
    }

    function _requireNotHalted(SubjectId subject, uint32 number) internal view {
        if (_halted(number, _epochOf(number))) revert SubjectHalted(subject);
    }

    function _requireDeadline(uint64 deadline) internal view {
        if (deadline < block.timestamp) revert DeadlinePassed(deadline);
        if (deadline > type(uint40).max) revert DeadlineTooLarge(deadline);
    }

    /// @dev Signed by who may consent: the subject's signer or a guardian.
    function _requireConsent(SubjectId subject, uint32 number, bytes32 digest, Approval calldata approval)
        internal
        view
    {
        if (_consentUntil(number, keccak256(approval.signer)) <= block.timestamp) {
            revert SignerUnauthorized(subject, approval.signer);
        }
        _requireSignature(digest, approval);
    }

    /// @dev One who may stop: also a replaced key and a former guardian, for a time.
    function _requireStopper(SubjectId subject, uint32 number, Approval calldata approval) internal view {
        if (_stopUntil(number, keccak256(approval.signer)) <= block.timestamp) {
            revert SignerUnauthorized(subject, approval.signer);
        }
    }

    /// @dev An account signs by ECDSA alone: an address without code today may get code tomorrow, and a contract asked in a signer's
    /// name could answer whatever it likes, or burn all gas.
    function _requireSignature(bytes32 digest, Approval calldata approval) internal view {
        bytes calldata signer = approval.signer;
        bool valid;
        if (signer.length == ACCOUNT) {
            (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, approval.signature);
            valid = failure == ECDSA.RecoverError.NoError && recovered == address(bytes20(signer));
        } else {
            address verifier = _requireVerifier(signer);
            valid = IERC7913SignatureVerifier(verifier).verify(signer[ACCOUNT:], digest, approval.signature)
                == IERC7913SignatureVerifier.verify.selector;
        }
        if (!valid) revert InvalidSignature(signer);
    }

    function _useOnce(bytes32 digest) internal {
        if (_used[digest]) revert AlreadyUsed(digest);
        _used[digest] = true;
    }

    function _topic(SubjectId subject) internal pure returns (bytes32) {
        return SubjectId.unwrap(subject);
    }

    function _register(SubjectId subject, bytes calldata signer) private {
        if (SubjectId.unwrap(subject) == 0) revert EmptySubject();
        if (_places[subject].number != 0) revert SubjectExists(subject);
        _requireSignerShape(signer);

        uint32 number = ++_subjectCount;
        _places[subject] = Place({number: number, registrar: msg.sender, linksFrom: 0});
        _signers[number] = signer;
        _emit(SubjectRegistered.selector, _topic(subject), abi.encode(NUMBER, number, msg.sender, signer));
    }

    function _freeze(SubjectId subject, uint32 number, bytes32 signerHash) private {
        Control storage control = _controls[number];
        uint64 liftableAt = _liftableAfter(number, signerHash);
        bool again = _subjects[number].frozen;
        if (again && control.liftableAt > liftableAt) liftableAt = control.liftableAt;
        // Nobody's if its signer may only stop: a thief could make that key current once more, or a guardian, and lift with it.
        bool own = _mayLiftOwn(number, signerHash) && (!again || control.frozenBy == signerHash);
        control.frozenBy = own ? signerHash : bytes32(0);
        control.liftableAt = liftableAt;
        _subjects[number].frozen = true;
        _emit(SubjectFrozen.selector, _topic(subject), abi.encode(NUMBER, signerHash, liftableAt));
    }

    function _unfreeze(SubjectId subject, uint32 number, bytes32 signerHash) private {
        _subjects[number].frozen = false;
        _controls[number].frozenBy = 0;
        _controls[number].liftableAt = 0;
        _emit(SubjectUnfrozen.selector, _topic(subject), abi.encode(NUMBER, signerHash));
    }

    /// @return stopUntil Until when the key that was replaced may stop.
    function _replaceSigner(uint32 number, bytes memory newSigner, uint64 stopTime) private returns (uint64 stopUntil) {
        bytes32 oldHash = keccak256(_signers[number]);
        stopUntil = uint64(block.timestamp) + stopTime;
        if (_replaced[number][oldHash] > stopUntil) stopUntil = _replaced[number][oldHash];
        _replaced[number][oldHash] = stopUntil;
        _signers[number] = newSigner;
        _eraEnds[number][_controls[number].era++] = uint64(block.timestamp);
    }

    function _requireRegistrar(SubjectId subject) private view {
        REGISTRY.requireActive(msg.sender, Role.IdentityAuthority);
        address registrar = _places[subject].registrar;
        if (registrar == address(0)) revert SubjectUnknown(subject);
        if (msg.sender != registrar && msg.sender != REGISTRY.successorOf(registrar)) {
            revert NotRegistrar(msg.sender, subject);
        }
    }

    function _isRegistrarActive(SubjectId subject) private view returns (bool) {
        return REGISTRY.isActive(_places[subject].registrar, Role.IdentityAuthority);
    }

    function _endRecovery(uint32 number) private {
        _subjects[number].recoveryAt = 0;
        delete _pendingSigners[number];
    }

    /// @dev Signed by the current key, once and in time.
    function _requireCurrent(
        SubjectId subject,
        uint32 number,
        bytes32 digest,
        uint64 deadline,
        Approval calldata approval
    ) private {
        if (!_isCurrent(number, keccak256(approval.signer))) {
            revert SignerUnauthorized(subject, approval.signer);
        }
        _requireDeadline(deadline);
        _requireSignature(digest, approval);
        _useOnce(digest);
    }

    /// @dev Who froze and may still consent lifts at once, unless it is a replaced key that was made a guardian; the current key lifts
    /// anybody's freeze once it is liftable.
    function _requireLifter(SubjectId subject, uint32 number, bytes32 signerHash) private view {
        if (!_subjects[number].frozen) revert NotFrozen(subject);
        Control storage control = _controls[number];
        if (control.frozenBy == signerHash && _mayLiftOwn(number, signerHash)) return;
        if (!_isCurrent(number, signerHash) || control.liftableAt > block.timestamp) {
            revert NotLiftable(subject, control.liftableAt);
        }
    }

    function _mayLiftOwn(uint32 number, bytes32 signerHash) private view returns (bool) {
        return _consentUntil(number, signerHash) > block.timestamp && !_isReplaced(number, signerHash);
    }

    function _requireOpen(SubjectId subject, uint32 number) private view {
        if (_subjects[number].closed) revert SubjectIsClosed(subject);
        if (_subjects[number].recoveryAt != 0) revert RecoveryPending(subject);
    }

    function _isCurrent(uint32 number, bytes32 signerHash) private view returns (bool) {
        return signerHash == keccak256(_signers[number]);
    }

    /// @dev In its stop time, which it keeps as a guardian too.
    function _isReplaced(uint32 number, bytes32 signerHash) private view returns (bool) {
        return _replaced[number][signerHash] > block.timestamp && !_isCurrent(number, signerHash);
    }

    function _consentUntil(uint32 number, bytes32 signerHash) private view returns (uint64) {
        if (_isCurrent(number, signerHash)) return type(uint64).max;
        Guardian storage guardian = _guardians[number][signerHash];
        return guardian.era == _controls[number].era ? guardian.consentUntil : 0;
    }

    function _stopUntil(uint32 number, bytes32 signerHash) private view returns (uint64) {
        if (_isCurrent(number, signerHash)) return type(uint64).max;
        uint64 asReplaced = _replaced[number][signerHash];
        uint64 asGuardian = _guardianStopUntil(number, signerHash);
        return asReplaced > asGuardian ? asReplaced : asGuardian;
    }

    function _guardianStopUntil(uint32 number, bytes32 guardianHash) private view returns (uint64 stopUntil) {
        Guardian storage guardian = _guardians[number][guardianHash];
        stopUntil = guardian.stopUntil;
        if (guardian.era != _controls[number].era) {
            uint64 bound = _eraEnds[number][guardian.era] + RECOVERY_DELAY;
            if (bound < stopUntil) stopUntil = bound;
        }
    }

    function _liftableAfter(uint32 number, bytes32 signerHash) private view returns (uint64) {
        return _isReplaced(number, signerHash) ? _replaced[number][signerHash] : _delayed();
    }

    function _delayed() private view returns (uint64) {
        return uint64(block.timestamp) + RECOVERY_DELAY;
    }

    /// @dev A signer that could never sign would lock its subject out. The verifier is asked for again at each signature.
    function _requireSignerShape(bytes calldata signer) private view {
        if (signer.length < ACCOUNT) revert SignerTooShort(signer.length);
        Texts.requireWithin(signer.length, Texts.SIGNER);
        if (signer.length > ACCOUNT) _requireVerifier(signer);
    }

    function _requireVerifier(bytes calldata signer) private view returns (address verifier) {
        verifier = address(bytes20(signer[:ACCOUNT]));
        if (verifier.code.length == 0 || !REGISTRY.isVerifier(verifier)) revert VerifierUnlisted(verifier);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISubjects} from "./interfaces/ISubjects.sol";
import {Role, SubjectId} from "./libraries/Types.sol";

/// @notice See {ISubjects}.
abstract contract Subjects is ISubjects, EIP712 {
    /// @dev One slot, and nothing above the epoch but what halts: see `_halted`.
    struct Subject {
        uint24 epoch;
        bool frozen;
        uint64 recoveryAt;
    }

    struct Guardian {
        uint64 expiresAt;
        uint24 epoch;
    }

    bytes32 private constant FREEZE_TYPEHASH =
        keccak256("Freeze(bytes32 subject,bool frozen,bytes32 nonce,uint64 deadline)");
    bytes32 private constant ROTATION_TYPEHASH =
        keccak256("SignerRotation(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant VETO_TYPEHASH =
        keccak256("RecoveryVeto(bytes32 subject,bytes newSigner,bytes32 nonce,uint64 deadline)");
    bytes32 private constant GUARDIAN_TYPEHASH = keccak256(
        "GuardianAppointment(bytes32 subject,bytes guardian,uint64 expiresAt,bytes32 nonce,uint64 deadline)"
    );

    IRegistry public immutable REGISTRY;
    /// @notice Seconds between the start of a recovery and its taking effect.
    uint64 public immutable RECOVERY_DELAY;

    mapping(SubjectId subject => uint32 number) private _numbers;
    mapping(uint32 number => Subject) private _subjects;
    mapping(uint32 number => bytes signer) private _signers;
    mapping(uint32 number => bytes signer) private _pendingSigners;
    mapping(uint32 number => mapping(bytes32 signerHash => Guardian)) private _guardians;
    // The epoch that ended when recovery replaced the key, plus one; zero for a key that recovery never replaced.
    mapping(uint32 number => mapping(bytes32 signerHash => uint24 epochs)) private _retired;
    mapping(bytes32 digest => bool used) private _used;
    uint32 private _subjectCount;

    constructor(IRegistry registry, uint64 recoveryDelay) EIP712("Quancheng", "1") {
        if (recoveryDelay == 0) revert RecoveryDelayZero();
        REGISTRY = registry;
        RECOVERY_DELAY = recoveryDelay;
    }

    modifier onlyIdentityAuthority() {
        REGISTRY.requireActive(msg.sender, Role.IdentityAuthority);
        _;
    }

    /// @inheritdoc ISubjects
    function registerSubjects(SubjectId[] calldata subjects, bytes[] calldata signers) external onlyIdentityAuthority {
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
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(FREEZE_TYPEHASH, subject, frozen, nonce, deadline)));
        _requireDeadline(deadline);
        _requireApproval(subject, number, digest, approval);
        _useOnce(digest);

        _subjects[number].frozen = frozen;
        if (frozen) emit SubjectFrozen(subject, approval.signer);
        else emit SubjectUnfrozen(subject, approval.signer);
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
        _requireNoRecovery(subject, number);
        _requireSignerShape(newSigner);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(ROTATION_TYPEHASH, subject, keccak256(newSigner), nonce, deadline))
        );
        _requireDeadline(deadline);
        _requireSigner(subject, number, digest, approval);
        _useOnce(digest);

        _signers[number] = newSigner;
        emit SignerRotated(subject, approval.signer, newSigner);
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
        _requireNoRecovery(subject, number);
        _requireSignerShape(guardian);
        if (expiresAt != 0 && expiresAt <= block.timestamp) revert EndNotInFuture(expiresAt);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(GUARDIAN_TYPEHASH, subject, keccak256(guardian), expiresAt, nonce, deadline))
        );
        _requireDeadline(deadline);
        _requireSigner(subject, number, digest, approval);
        _useOnce(digest);

        uint24 epoch = _subjects[number].epoch;
        _guardians[number][keccak256(guardian)] = Guardian({expiresAt: expiresAt, epoch: epoch});
        if (expiresAt == 0) emit GuardianDismissed(subject, guardian);
        else emit GuardianAppointed(subject, guardian, expiresAt, epoch);
    }

    /// @inheritdoc ISubjects
    function startRecovery(SubjectId subject, bytes calldata newSigner) external onlyIdentityAuthority {
        uint32 number = _numberOf(subject);
        _requireNoRecovery(subject, number);
        _requireSignerShape(newSigner);

        uint64 effectiveAt = uint64(block.timestamp) + RECOVERY_DELAY;
        _subjects[number].recoveryAt = effectiveAt;
        _pendingSigners[number] = newSigner;
        emit RecoveryStarted(subject, newSigner, effectiveAt);
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
        if (recoveryAt == 0 || keccak256(newSigner) != keccak256(_pendingSigners[number])) {
            revert RecoveryNotPending(subject);
        }
        if (recoveryAt <= block.timestamp) revert RecoveryDue(subject, recoveryAt);
        bytes32 digest =
            _hashTypedDataV4(keccak256(abi.encode(VETO_TYPEHASH, subject, keccak256(newSigner), nonce, deadline)));
        _requireDeadline(deadline);
        _requireSigner(subject, number, digest, approval);
        _useOnce(digest);

        _subjects[number].recoveryAt = 0;
        delete _pendingSigners[number];
        emit RecoveryVetoed(subject, newSigner);
    }

    /// @inheritdoc ISubjects
    function completeRecovery(SubjectId subject) external {
        uint32 number = _numberOf(subject);
        Subject storage recovered = _subjects[number];
        if (recovered.recoveryAt == 0) revert RecoveryNotPending(subject);
        if (recovered.recoveryAt > block.timestamp) revert RecoveryNotDue(subject, recovered.recoveryAt);

        bytes memory oldSigner = _signers[number];
        bytes memory newSigner = _pendingSigners[number];
        uint24 epoch = recovered.epoch + 1;
        recovered.epoch = epoch;
        recovered.recoveryAt = 0;
        _retired[number][keccak256(oldSigner)] = epoch;
        _signers[number] = newSigner;
        delete _pendingSigners[number];
        emit RecoveryCompleted(subject, oldSigner, newSigner, epoch);
    }

    /// @inheritdoc ISubjects
    function subjectOf(SubjectId subject) external view returns (SubjectState memory state) {
        state.number = _numbers[subject];
        Subject storage found = _subjects[state.number];
        state.frozen = found.frozen;
        state.epoch = found.epoch;
        state.recoveryAt = found.recoveryAt;
        state.signer = _signers[state.number];
        state.pendingSigner = _pendingSigners[state.number];
    }

    /// @inheritdoc ISubjects
    function guardianUntil(SubjectId subject, bytes calldata guardian) external view returns (uint64) {
        return _guardianUntil(_numberOf(subject), keccak256(guardian));
    }

    function _numberOf(SubjectId subject) internal view returns (uint32 number) {
        number = _numbers[subject];
        if (number == 0) revert SubjectUnknown(subject);
    }

    function _epochOf(uint32 number) internal view returns (uint24) {
        return _subjects[number].epoch;
    }

    /// @dev Whether an authorization of this subject, signed or confirmed in `epoch`, is halted now: frozen, under recovery, or of
    /// another epoch. One comparison, because in the subject's slot the epoch is lowest and both others are zero when they do not halt.
    function _halted(uint32 number, uint24 epoch) internal view returns (bool halted) {
        Subject storage found = _subjects[number];
        uint256 notHalted = epoch;
        assembly ("memory-safe") {
            halted := iszero(eq(sload(found.slot), notHalted))
        }
    }

    function _requireNoRecovery(SubjectId subject, uint32 number) internal view {
        if (_subjects[number].recoveryAt != 0) revert RecoveryPending(subject);
    }

    function _requireDeadline(uint64 deadline) internal view {
        if (deadline < block.timestamp) revert DeadlinePassed(deadline);
    }

    /// @dev Signed by the subject's signer or by a guardian.
    function _requireApproval(SubjectId subject, uint32 number, bytes32 digest, Approval calldata approval)
        internal
        view
    {
        bytes32 signerHash = keccak256(approval.signer);
        if (!_isSigner(number, signerHash) && _guardianUntil(number, signerHash) <= block.timestamp) {
            revert SignerUnauthorized(subject, approval.signer);
        }
        _requireSignature(digest, approval);
    }

    /// @dev As `_requireApproval`, or by a key that recovery replaced after `epoch`.
    function _requireStopper(
        SubjectId subject,
        uint32 number,
        uint24 epoch,
        bytes32 digest,
        Approval calldata approval
    ) internal view {
        if (_retired[number][keccak256(approval.signer)] > epoch) _requireSignature(digest, approval);
        else _requireApproval(subject, number, digest, approval);
    }

    function _useOnce(bytes32 digest) internal {
        if (_used[digest]) revert AlreadyUsed(digest);
        _used[digest] = true;
    }

    function _register(SubjectId subject, bytes calldata signer) private {
        if (SubjectId.unwrap(subject) == 0) revert EmptySubject();
        if (_numbers[subject] != 0) revert SubjectExists(subject);
        _requireSignerShape(signer);

        uint32 number = ++_subjectCount;
        _numbers[subject] = number;
        _signers[number] = signer;
        emit SubjectRegistered(subject, number, signer);
    }

    function _requireSigner(SubjectId subject, uint32 number, bytes32 digest, Approval calldata approval)
        private
        view
    {
        if (!_isSigner(number, keccak256(approval.signer))) revert SignerUnauthorized(subject, approval.signer);
        _requireSignature(digest, approval);
    }

    function _isSigner(uint32 number, bytes32 signerHash) private view returns (bool) {
        return signerHash == keccak256(_signers[number]);
    }

    function _guardianUntil(uint32 number, bytes32 guardianHash) private view returns (uint64) {
        Guardian storage guardian = _guardians[number][guardianHash];
        // A guardian whom a lost key appointed ends with that key.
        return guardian.epoch == _subjects[number].epoch ? guardian.expiresAt : 0;
    }

    function _requireSignature(bytes32 digest, Approval calldata approval) private view {
        if (!SignatureChecker.isValidSignatureNow(approval.signer, digest, approval.signature)) {
            revert InvalidSignature(approval.signer);
        }
    }

    function _requireSignerShape(bytes calldata signer) private pure {
        if (signer.length < 20) revert SignerTooShort(signer.length);
    }
}

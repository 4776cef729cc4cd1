// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SubjectId} from "../libraries/Types.sol";

/// @title The people's side of `Authorizations`: subjects, their signing keys, guardians, freezing and recovery.
/// @notice A subject is a random id with a signer (ERC-7913 bytes: an account, or a verifier and a key). The identity authority
/// registers it and may replace a lost key; it cannot consent in anybody's name, for the subject is frozen while a
/// recovery is under way, the old key may veto until it takes effect, and what the old key signed stays frozen until the
/// new key confirms it. A key that recovery replaced can still revoke what was granted in its time, confirmed since or not: it can
/// stop, never start.
/// @dev Warning: an identity authority that replaces a key whose owner does not veto in time holds that subject id. The events show
/// it, and the person's wallet watches for them.
interface ISubjects {
    /// @dev Who signs: the subject's signer or a guardian's, as ERC-7913 bytes, and the signature over the record's digest.
    struct Approval {
        bytes signer;
        bytes signature;
    }

    /// @param epoch Number of recoveries that took effect. An authorization of an earlier epoch is frozen until confirmed.
    /// @param recoveryAt Second from which the pending recovery may take effect; zero for none.
    struct SubjectState {
        uint32 number;
        bool frozen;
        uint24 epoch;
        uint64 recoveryAt;
        bytes signer;
        bytes pendingSigner;
    }

    event SubjectRegistered(SubjectId indexed subject, uint32 number, bytes signer);
    event SubjectFrozen(SubjectId indexed subject, bytes signer);
    event SubjectUnfrozen(SubjectId indexed subject, bytes signer);
    event SignerRotated(SubjectId indexed subject, bytes oldSigner, bytes newSigner);
    event GuardianAppointed(SubjectId indexed subject, bytes guardian, uint64 expiresAt, uint24 epoch);
    event GuardianDismissed(SubjectId indexed subject, bytes guardian);
    event RecoveryStarted(SubjectId indexed subject, bytes newSigner, uint64 effectiveAt);
    event RecoveryVetoed(SubjectId indexed subject, bytes newSigner);
    event RecoveryCompleted(SubjectId indexed subject, bytes oldSigner, bytes newSigner, uint24 epoch);

    error LengthMismatch(uint256 subjects, uint256 signers);
    error EmptySubject();
    error SubjectExists(SubjectId subject);
    error SubjectUnknown(SubjectId subject);
    error SignerTooShort(uint256 length);
    error SignerUnauthorized(SubjectId subject, bytes signer);
    error InvalidSignature(bytes signer);
    error DeadlinePassed(uint64 deadline);
    error AlreadyUsed(bytes32 digest);
    error RecoveryPending(SubjectId subject);
    error RecoveryNotPending(SubjectId subject);
    error RecoveryNotDue(SubjectId subject, uint64 effectiveAt);
    error RecoveryDue(SubjectId subject, uint64 effectiveAt);
    error EndNotInFuture(uint64 expiresAt);
    error RecoveryDelayZero();

    /// @notice Registers subjects with their signers. Only the identity authority.
    function registerSubjects(SubjectId[] calldata subjects, bytes[] calldata signers) external;

    /// @notice Freezes (or unfreezes) all of the subject's authorizations. EIP-712 `Freeze`, by the signer or a guardian.
    function setFrozen(SubjectId subject, bool frozen, bytes32 nonce, uint64 deadline, Approval calldata approval) external;

    /// @notice Replaces the signer by another of the same person. EIP-712 `SignerRotation`, by the present signer.
    function rotateSigner(
        SubjectId subject,
        bytes calldata newSigner,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external;

    /// @notice Lets a guardian sign for the subject until `expiresAt`; zero dismisses. EIP-712 `GuardianAppointment`, by the signer.
    function appointGuardian(
        SubjectId subject,
        bytes calldata guardian,
        uint64 expiresAt,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external;

    /// @notice Starts replacing a lost key; the subject is frozen at once. Only the identity authority.
    function startRecovery(SubjectId subject, bytes calldata newSigner) external;

    /// @notice Stops a recovery before it is due. EIP-712 `RecoveryVeto`, by the present signer.
    function vetoRecovery(
        SubjectId subject,
        bytes calldata newSigner,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external;

    /// @notice Makes a due recovery take effect. Anyone.
    function completeRecovery(SubjectId subject) external;

    function subjectOf(SubjectId subject) external view returns (SubjectState memory);

    /// @notice Second until which (exclusive) `guardian` may sign for the subject; zero for not at all.
    function guardianUntil(SubjectId subject, bytes calldata guardian) external view returns (uint64);
}

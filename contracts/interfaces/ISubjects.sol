// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SubjectId} from "../libraries/Types.sol";
import {INumbered} from "./INumbered.sol";

/// @title The people's side of `Authorizations`: subjects, their signing keys, guardians, freezing, recovery and closing.
/// @notice A subject is a random id with a signer (ERC-7913 bytes: an account, or a listed verifier and a key). The identity authority that
/// registered it, or its successor, may replace a lost key or close a stolen id; it cannot consent in anybody's name, for the subject is
/// halted while a recovery is under way, the current key may veto until it takes effect, and what the old key signed stays halted until
/// the new key confirms it.
/// @dev Who may stop, and who may start:
///
/// | act | by | when | effect |
/// |---|---|---|---|
/// | grant, confirm | current key, guardian | not halted (frozen, recovery, closed) | |
/// | revoke | current key, guardian; replaced key and former guardian in their stop time | always | also before the grant |
/// | freeze | the same | always | liftable at once by who froze and may consent, unless a replaced key; by the current key after `RECOVERY_DELAY`, or when a replaced key's stop time is over |
/// | unfreeze | who froze, unless replaced or a former guardian; current key | at once; once liftable | |
/// | rotate | current key | no recovery, not closed | old key may stop for 30 days; guardians end |
/// | start recovery | registrar | none pending, not closed | halted |
/// | veto | current key | before it is due; always while the registrar is withdrawn | as before it; a freeze stays |
/// | complete | anyone; while the registrar is withdrawn its successor | due | new epoch; old key may stop for a year; guardians end; a freeze stays |
/// | close; open | registrar; registrar and current key together | always | halted; a pending recovery ends |
///
/// What a replaced key freezes in its stop time is nobody's own, also when that key is made current again or a guardian, and as a guardian it
/// lifts nothing in that time: a thief who has a copy of it could give it these rights.
/// Guardians that end, by rotation, recovery or dismissal, consent no more at once, and may stop for `RECOVERY_DELAY`. Frozen by somebody
/// else too, a freeze is nobody's own any more and the later time counts.
/// @dev A signer of 20 bytes signs by ECDSA only, whatever code its address has or gets. A longer one names a verifier, which the Registry
/// must list and which must have code, each time that it is asked.
/// @dev Warning: an identity authority that replaces a key whose owner does not veto in time holds that subject id. The events show
/// it, and the person's wallet watches for them; the replaced key can stop it for a year.
interface ISubjects is INumbered {
    /// @dev Who signs: the subject's signer or a guardian's, as ERC-7913 bytes, and the signature over the record's digest.
    struct Approval {
        bytes signer;
        bytes signature;
    }

    /// @param registrar The identity authority that registered it.
    /// @param linksFrom Second up to which links issued for it count no more; zero for none ended.
    /// @param epoch Number of recoveries that took effect. An authorization of an earlier epoch is halted until confirmed.
    /// @param recoveryAt Second from which the pending recovery may take effect; zero for none.
    /// @param frozenBy keccak256 of the signer who may lift the freeze at once; zero for nobody.
    /// @param liftableAt Second from which the current key may lift it.
    struct SubjectState {
        uint32 number;
        address registrar;
        uint64 linksFrom;
        bool frozen;
        bool closed;
        uint24 epoch;
        uint64 recoveryAt;
        bytes32 frozenBy;
        uint64 liftableAt;
        bytes signer;
        bytes pendingSigner;
    }

    /// @param subjectNumber Short name of the subject, from 1.
    event SubjectRegistered(
        SubjectId indexed subject, uint64 number, uint32 subjectNumber, address registrar, bytes signer
    );
    /// @param signerHash keccak256 of the signer's bytes, here and wherever somebody signs: the same guardian's bytes would join the ids of its
    /// wards for everybody.
    event SubjectFrozen(SubjectId indexed subject, uint64 number, bytes32 signerHash, uint64 liftableAt);
    event SubjectUnfrozen(SubjectId indexed subject, uint64 number, bytes32 signerHash);
    /// @param stopUntil Second until which (exclusive) the replaced key may stop.
    event SignerRotated(SubjectId indexed subject, uint64 number, bytes newSigner, uint64 stopUntil);
    event GuardianAppointed(SubjectId indexed subject, uint64 number, bytes32 guardianHash, uint64 expiresAt);
    event GuardianDismissed(SubjectId indexed subject, uint64 number, bytes32 guardianHash, uint64 stopUntil);
    event RecoveryStarted(SubjectId indexed subject, uint64 number, bytes newSigner, uint64 effectiveAt);
    event RecoveryVetoed(SubjectId indexed subject, uint64 number, bytes newSigner);
    event RecoveryCompleted(SubjectId indexed subject, uint64 number, bytes newSigner, uint24 epoch, uint64 stopUntil);
    event SubjectClosed(SubjectId indexed subject, uint64 number);
    event SubjectOpened(SubjectId indexed subject, uint64 number);
    event LinksEnded(SubjectId indexed subject, uint64 number, uint64 linksFrom);

    error LengthMismatch(uint256 subjects, uint256 signers);
    error EmptySubject();
    error SubjectExists(SubjectId subject);
    error SubjectUnknown(SubjectId subject);
    error SubjectHalted(SubjectId subject);
    error SubjectIsClosed(SubjectId subject);
    error SubjectNotClosed(SubjectId subject);
    error NotFrozen(SubjectId subject);
    error NotLiftable(SubjectId subject, uint64 liftableAt);
    error NotRegistrar(address caller, SubjectId subject);
    error SignerTooShort(uint256 length);
    error SignerUnauthorized(SubjectId subject, bytes signer);
    error VerifierUnlisted(address verifier);
    error InvalidSignature(bytes signer);
    error DeadlinePassed(uint64 deadline);
    error DeadlineTooLarge(uint64 deadline);
    error AlreadyUsed(bytes32 digest);
    error RecoveryPending(SubjectId subject);
    error RecoveryNotPending(SubjectId subject);
    error RecoveryNotDue(SubjectId subject, uint64 effectiveAt);
    error RecoveryDue(SubjectId subject, uint64 effectiveAt);
    error EndNotInFuture(uint64 expiresAt);
    /// @dev At deployment, where it is no trial.
    error RecoveryDelayTooShort(uint64 recoveryDelay);

    /// @notice Registers subjects with their signers. Only an identity authority, which becomes their registrar.
    function registerSubjects(SubjectId[] calldata subjects, bytes[] calldata signers) external;

    /// @notice Freezes (or unfreezes) all of the subject's authorizations. EIP-712 `Freeze`.
    function setFrozen(SubjectId subject, bool frozen, bytes32 nonce, uint64 deadline, Approval calldata approval)
        external;

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

    /// @notice Starts replacing a lost key; the subject is halted at once. Only the registrar or its successor.
    function startRecovery(SubjectId subject, bytes calldata newSigner) external;

    /// @notice Stops a recovery before it is due, or while the registrar is no active identity authority. EIP-712 `RecoveryVeto`, by the present
    /// signer.
    function vetoRecovery(
        SubjectId subject,
        bytes calldata newSigner,
        bytes32 nonce,
        uint64 deadline,
        Approval calldata approval
    ) external;

    /// @notice Makes a due recovery take effect. Anyone; while the registrar is no active identity authority only its successor, which knows
    /// what was started rightly, and closes the ids of which it does not.
    function completeRecovery(SubjectId subject) external;

    /// @notice Closes a stolen id at once: no grant, no use, no recovery. Only the registrar or its successor.
    function closeSubject(SubjectId subject) external;

    /// @notice Opens a closed id: the registrar (or its successor) sends what the current key signed, EIP-712 `SubjectOpening`.
    function openSubject(SubjectId subject, bytes32 nonce, uint64 deadline, Approval calldata approval) external;

    /// @notice Ends all links of the id that were issued up to now (docs/spec/identity.md). Only the registrar or its successor.
    function endLinks(SubjectId subject) external;

    function subjectOf(SubjectId subject) external view returns (SubjectState memory);

    /// @notice Until when (exclusive) this signer may consent for the subject, and until when it may stop: the largest number for the current
    /// key, zero for not at all.
    function rightsOf(SubjectId subject, bytes calldata signer)
        external
        view
        returns (uint64 consentUntil, uint64 stopUntil);
}

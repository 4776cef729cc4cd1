// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AgreementId, ApplicationId, DatasetId, PurposeId} from "../libraries/Types.sol";
import {INumbered} from "./INumbered.sol";

/// @title On what terms? Purposes, applications, approvals and confidentiality agreements.
/// @notice The authority sets purposes: fixed texts and hard bounds that no authorization can exceed. A consumer applies for a
/// dataset and a purpose and signs a confidentiality agreement; the dataset's provider approves or declines.
/// @dev A purpose never changes: other bounds are another purpose. An agreement changes only by approving another
/// application or by withdrawal, each with an event; its id and number stay the same. Consents end when the agreement behind them is withdrawn:
/// another round of it is another agreement to them. An approval that prolongs, widens or narrows one that stands keeps the round.
/// @dev A supervisor is a machine that a regulator appointed. It can suspend an agreement for half an hour, and not again before a
/// regulator has looked.
interface IAgreements is INumbered {
    /// @param language BCP 47 tag ("zh", "en").
    /// @param template The sentence a person signs, with placeholders (docs/spec/statement.md).
    struct Text {
        string language;
        string template;
    }

    /// @param maxValidity Longest time from notBefore to expiresAt, seconds.
    /// @param maxUses Most uses of one authorization.
    /// @param minInterval Least time between two uses that an authorization must ask for, seconds.
    /// @param retention How long the consumer may keep the data, seconds.
    struct PurposeTerms {
        string code;
        Text[] texts;
        uint64 maxValidity;
        uint32 maxUses;
        uint32 minInterval;
        uint64 retention;
    }

    struct PurposeBounds {
        bool active;
        uint64 maxValidity;
        uint32 maxUses;
        uint32 minInterval;
    }

    struct Application {
        address consumer;
        DatasetId dataset;
        PurposeId purpose;
        uint256 fields;
        bool decided;
        bool signed;
    }

    /// @param number Short name of the agreement, from 1; what an authorization's slot refers to.
    /// @param round Number of times that it was approved anew after a withdrawal.
    /// @param suspendedUntil Second until which (exclusive) it is suspended.
    /// @param suspensionUnseen Whether no regulator has looked at the last suspension yet.
    /// @param active Approved, not withdrawn, not expired, not suspended, confidentiality agreement signed.
    struct AgreementState {
        AgreementId id;
        uint32 number;
        address consumer;
        DatasetId dataset;
        PurposeId purpose;
        ApplicationId application;
        uint256 fields;
        uint64 expiresAt;
        uint64 suspendedUntil;
        uint16 round;
        bool suspensionUnseen;
        bool withdrawn;
        bool active;
    }

    event PurposeRegistered(PurposeId indexed purpose, uint64 number, PurposeTerms terms);
    event PurposeFieldsBound(PurposeId indexed purpose, DatasetId indexed dataset, uint64 number, uint256 fields);
    event PurposeRetired(PurposeId indexed purpose, uint64 number);
    event Applied(
        ApplicationId indexed application,
        address indexed consumer,
        DatasetId indexed dataset,
        uint64 number,
        PurposeId purpose,
        uint256 fields,
        string justification,
        bytes32 nonce
    );
    event ApplicationDeclined(ApplicationId indexed application, uint64 number, string reason);
    event AgreementApproved(
        AgreementId indexed agreement,
        ApplicationId indexed application,
        uint64 number,
        uint32 agreementNumber,
        uint16 round,
        uint256 fields,
        uint64 expiresAt
    );
    event ConfidentialitySigned(
        ApplicationId indexed application, address indexed consumer, uint64 number, bytes32 textHash, bytes32 nonce
    );
    event AgreementWithdrawn(AgreementId indexed agreement, address indexed by, uint64 number, string reason);
    event SupervisorAppointed(address indexed supervisor, address indexed regulator, uint64 number);
    event SupervisorDismissed(address indexed supervisor, address indexed regulator, uint64 number);
    event AgreementSuspended(
        AgreementId indexed agreement, address indexed supervisor, uint64 number, uint64 until, string reason
    );
    event SuspensionReviewed(
        AgreementId indexed agreement, address indexed regulator, uint64 number, uint64 until, string findings
    );

    error NotAuthority(address caller);
    error NotProvider(address caller, DatasetId dataset);
    error NotParty(address caller, AgreementId agreement);
    error EmptyCode();
    error EmptyReason();
    error EmptyText();
    error TextsMissing();
    error TextsTooMany(uint256 count);
    error BoundsTooWide();
    error BoundsEmpty();
    error PurposeExists(PurposeId purpose);
    error PurposeInactive(PurposeId purpose);
    error FieldsAlreadyBound(PurposeId purpose, DatasetId dataset);
    error FieldsOutsideSchema(DatasetId dataset, uint256 fields);
    error FieldsOutsidePurpose(PurposeId purpose, DatasetId dataset, uint256 fields);
    error FieldsOutsideApplication(ApplicationId application, uint256 fields);
    error FieldsOutsideAgreement(AgreementId agreement, uint256 fields);
    error FieldsEmpty();
    error DatasetInactive(DatasetId dataset);
    error ApplicationExists(ApplicationId application);
    error ApplicationUnknown(ApplicationId application);
    error ApplicationDecided(ApplicationId application);
    error ConsumerMismatch(ApplicationId application, address consumer);
    error AlreadySigned(ApplicationId application);
    error DeadlinePassed(uint64 deadline);
    error InvalidSignature(address signer);
    error EndNotInFuture(uint64 expiresAt);
    error AgreementUnknown(AgreementId agreement);
    error AgreementAlreadyWithdrawn(AgreementId agreement);
    error AgreementInactive(AgreementId agreement);
    error RoundsExhausted(AgreementId agreement);
    error SupervisorUnknown(address supervisor);
    error SuspensionUnseen(AgreementId agreement);
    error NotSuspended(AgreementId agreement);
    error ValidityOutOfBounds(uint64 validity, uint64 maxValidity);
    error UsesOutOfBounds(uint32 maxUses, uint32 bound);
    error IntervalOutOfBounds(uint32 minInterval, uint32 bound);

    function registerPurpose(PurposeTerms calldata terms) external returns (PurposeId);

    /// @notice Sets, once, which fields of a dataset the purpose may ever use.
    function bindFields(PurposeId purpose, DatasetId dataset, uint256 fields) external;

    /// @notice No new authorization, application or approval can name the purpose any more; what was granted before stays as it
    /// is.
    function retirePurpose(PurposeId purpose) external;

    function applyFor(
        DatasetId dataset,
        PurposeId purpose,
        uint256 fields,
        string calldata justification,
        bytes32 nonce
    ) external returns (ApplicationId);

    /// @notice The provider's approval, of all or fewer fields. It replaces the terms of an earlier agreement between the same
    /// three (consumer, dataset, purpose).
    function approve(ApplicationId application, uint256 fields, uint64 expiresAt) external returns (AgreementId);

    function decline(ApplicationId application, string calldata reason) external;

    /// @notice Relays the consumer's signed confidentiality agreement (EIP-712 `ConfidentialityAgreement`). Before or after approval.
    function signConfidentiality(
        address consumer,
        ApplicationId application,
        string calldata text,
        bytes32 nonce,
        uint64 deadline,
        bytes calldata signature
    ) external;

    /// @notice Ends an agreement; the dataset's provider or the consumer.
    function withdrawAgreement(AgreementId agreement, string calldata reason) external;

    /// @notice Lets a machine of the calling regulator suspend agreements.
    function appointSupervisor(address supervisor) external;

    /// @notice Takes the appointment back; any regulator.
    function dismissSupervisor(address supervisor) external;

    /// @notice Suspends an agreement for 30 minutes. A supervisor whose regulator is active, once until a regulator has looked.
    function suspendAgreement(AgreementId agreement, string calldata reason) external;

    /// @notice A regulator's look at a suspension: it goes on until `until`, never longer than it would have, or is over when that
    /// is not in the future.
    function reviewSuspension(AgreementId agreement, uint64 until, string calldata findings) external;

    /// @notice Reverts with the reason unless an authorization on these terms is within the purpose and the agreement.
    /// @return number The agreement's number.
    /// @return round Its round.
    function requireWithinBounds(
        address consumer,
        DatasetId dataset,
        PurposeId purpose,
        uint256 fields,
        uint64 validity,
        uint32 maxUses,
        uint32 minInterval
    ) external view returns (uint32 number, uint16 round);

    function agreementOf(AgreementId agreement) external view returns (AgreementState memory);

    /// @notice The agreement with this number; all zero for an unknown one.
    function agreementByNumber(uint32 number) external view returns (AgreementState memory);

    function applicationOf(ApplicationId application) external view returns (Application memory);

    /// @notice The regulator who appointed a supervisor; zero for none.
    function supervisorOf(address supervisor) external view returns (address regulator);

    function boundsOf(PurposeId purpose) external view returns (PurposeBounds memory);

    function fieldsBound(PurposeId purpose, DatasetId dataset) external view returns (uint256);

    function agreementId(address consumer, DatasetId dataset, PurposeId purpose) external view returns (AgreementId);

    function purposeId(PurposeTerms calldata terms) external view returns (PurposeId);
}

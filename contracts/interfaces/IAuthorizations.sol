// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Grant} from "../libraries/Grants.sol";
import {AuthorizationId, DatasetId, Outcome, PurposeId, SubjectId} from "../libraries/Types.sol";
import {ISubjects} from "./ISubjects.sol";

/// @title Who consents? Authorizations, their confirmation and revocation.
/// @notice Everything a person does is an EIP-712 record that anyone may relay; there is no second path, no pause and no
/// administrator. Revocation has no condition but the person's signature.
interface IAuthorizations is ISubjects {
    /// @param item Root of the one record that may be read; zero for all of the person's records in the dataset.
    /// @param caseReference Salted hash of the consumer's case number.
    /// @param statementHash keccak256 of the sentence that the person saw; EIP-712 encodes `string statement` as this.
    struct Authorization {
        SubjectId subject;
        address consumer;
        DatasetId dataset;
        bytes32 item;
        PurposeId purpose;
        uint256 fields;
        bytes32 caseReference;
        bytes32 statementHash;
        uint64 notBefore;
        uint64 expiresAt;
        uint32 maxUses;
        uint32 minInterval;
        bytes32 nonce;
        uint64 deadline;
    }

    /// @param agreement Number of the agreement.
    /// @param round Its round when it was granted: a consent ends when its agreement is withdrawn.
    /// @param fields Fields that the person allowed.
    struct GrantTerms {
        uint32 agreement;
        uint16 round;
        uint256 fields;
    }

    /// @dev Why a use is given back. Unsigned: no gateway's journal has a signature, and no keyholder's a release.
    /// NeverHandedOut: the release window is over, and too few keyholders' journals have a release for anybody to open it.
    enum VoidGround {
        Unsigned,
        NeverHandedOut
    }

    event Granted(
        AuthorizationId indexed authorization,
        SubjectId indexed subject,
        address indexed consumer,
        uint64 number,
        Authorization terms,
        uint32 agreement,
        uint16 round,
        uint24 epoch,
        bytes32 signerHash
    );
    /// @dev Of `subject` alone: of an authorization that is another subject's it says nothing.
    event Revoked(AuthorizationId indexed authorization, SubjectId indexed subject, uint64 number, bytes32 signerHash);
    event Confirmed(
        AuthorizationId indexed authorization,
        SubjectId indexed subject,
        uint64 number,
        uint24 epoch,
        bytes32 signerHash
    );
    /// @param lastUse What the authorization's last use is from now on, zero for never.
    event AccessVoided(
        AuthorizationId indexed authorization,
        uint256 indexed sequence,
        address indexed regulator,
        uint64 number,
        uint32 lastUse,
        VoidGround ground,
        string reason
    );

    error AlreadyGranted(AuthorizationId authorization);
    error AuthorizationUnknown(AuthorizationId authorization);
    error SubjectMismatch(AuthorizationId authorization, SubjectId subject);
    error AlreadyRevoked(AuthorizationId authorization);
    error AlreadyConfirmed(AuthorizationId authorization);
    error PeriodInvalid(uint64 notBefore, uint64 expiresAt);
    error AccessUnknown(uint256 sequence);
    error AlreadyVoided(AuthorizationId authorization, uint256 sequence);
    error NothingToVoid(AuthorizationId authorization);
    error UsedSince(AuthorizationId authorization, uint32 lastUse);
    error LastUseTooLate(uint32 lastUse);
    error EmptyReason();
    error DatasetNotPersonal(DatasetId dataset);
    error NotAccessLog(address caller);

    /// @notice Relays a signed authorization. It must be within its purpose's bounds and a consumer's active agreement, and begin within a
    /// day. A `notBefore` of zero, or in the past, means from this block on: its validity counts from then.
    function grant(Authorization calldata terms, Approval calldata approval) external returns (AuthorizationId);

    /// @notice Ends an authorization for good. EIP-712 `Revocation`, by who may stop. One that comes before the grant counts too: the grant is
    /// then refused. It is kept by authorization and subject, so nobody can block a stranger's grant.
    function revoke(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external;

    /// @notice Lets an authorization that a replaced key signed count again. EIP-712 `Confirmation`.
    function confirm(SubjectId subject, AuthorizationId authorization, uint64 deadline, Approval calldata approval)
        external;

    /// @notice Gives one use back that was recorded and never served. A regulator; of one authorization each access once,
    /// at most `maxUses` in all, and never more uses than the person granted. The number of another's access voids nothing of the other's.
    /// @param sequence Number of the access.
    /// @param seen The authorization's last use as the caller judged by it. Reverts when it is another one: a use that was mined in between
    /// stands, and `lastUse` would set its interval back.
    /// @param lastUse Time of the authorization's last access that stands, zero for none; replay checks it.
    function voidAccess(
        uint256 sequence,
        Authorization calldata terms,
        uint32 seen,
        uint32 lastUse,
        VoidGround ground,
        string calldata reason
    ) external;

    /// @notice Decides and counts one use: steps 8 to 10 of the decision. Only the access log.
    /// @dev All in words, because enums, flags and short integers are range-checked on both sides of the call. With `excess` as
    /// bytes32 the selector is 003077a0, the smallest here, and so the first that the dispatcher compares.
    /// @param terms Number of the terms for which the caller took steps 5 to 7, and found that they allow a use. When the authorization
    /// has others, nothing is decided or counted, and the caller looks at them and calls again.
    /// @param item Root of the record asked for; zero for all that the authorization covers.
    /// @param excess The fields asked for that are outside the authorization or the agreement.
    /// @return outcome The decision (an `Outcome`), when the authorization has these terms.
    /// @return termsNumber Number of the authorization's terms; zero when there is no such authorization.
    function use(AuthorizationId authorization, uint256 terms, bytes32 item, bytes32 excess)
        external
        returns (uint256 outcome, uint256 termsNumber);

    /// @return grant_ The authorization's slot; zero for an unknown one.
    /// @return halted Whether the subject is frozen, under recovery, or has not confirmed it since a recovery.
    function grantOf(AuthorizationId authorization) external view returns (Grant grant_, bool halted);

    function termsOf(uint32 number) external view returns (GrantTerms memory);

    /// @notice Whether an access was voided as a use of this authorization.
    function isVoided(AuthorizationId authorization, uint256 sequence) external view returns (bool);

    /// @notice The record that the authorization is bound to; zero when it is not.
    function itemOf(AuthorizationId authorization) external view returns (bytes32);

    /// @notice The only contract that counts uses.
    function ACCESS_LOG() external view returns (address);

    function authorizationId(Authorization calldata terms) external view returns (AuthorizationId);
}

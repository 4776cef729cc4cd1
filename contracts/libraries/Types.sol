// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Every id is a hash of what it names, except SubjectId: that one is random, so that it says nothing of the person.
type SubjectId is bytes32;
type DatasetId is bytes32;
type PurposeId is bytes32;
type ApplicationId is bytes32;
type AgreementId is bytes32;
type AuthorizationId is bytes32;
type OrderId is bytes32;

/// @dev Sharing class (共享属性) and open class (开放属性) take the same three values.
enum Class {
    Unconditional,
    Conditional,
    NotShared
}

/// @dev What a party may be; a party holds any set of them, as bit `1 << uint8(role)`.
enum Role {
    Provider,
    Consumer,
    Regulator,
    Recorder,
    Keyholder,
    IdentityAuthority
}

/// @dev Outcome of an access, in the order in which the decision looks for them. The numbers are part of the
/// running hash and never change.
enum Outcome {
    Allowed,
    DuplicateRequest,
    RequestExpired,
    ConsumerInactive,
    ConsumerRestricted,
    UnknownBasis,
    ConsumerMismatch,
    DatasetInactive,
    AgreementInactive,
    NotYetValid,
    Expired,
    Revoked,
    Frozen,
    ItemExceeded,
    FieldsExceeded,
    TooSoon,
    UsesExhausted
}

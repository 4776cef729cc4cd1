"""Events of the five contracts as typed records; `ledger.chain.events.decoder` reads them from logs.

An event's class is its declaration: its name and its annotated attributes, in Solidity's order, give the
signature, the topic, and how topics and data are read (`ledger.chain.events.decoder`). Only the access log's, which
come by the million, have a fixed layout that is sliced.

Source: contracts/interfaces; Solidity documentation, "Contract ABI Specification", clause "Events".
"""

from typing import Annotated, Final

import msgspec

from ledger.model import ZERO_WORD, Change, Class, Outcome, VoidGround

INDEXED: Final = "indexed"
"""Marks what stands in a topic instead of the data."""

Bytes32 = Annotated[bytes, "bytes32"]
Address = Annotated[bytes, "address"]
Bytes = Annotated[bytes, "bytes"]
String = Annotated[str, "string"]
"""Bytes that are not UTF-8, and NUL, which a contract takes too, show as `\\xff`: text of strangers must
not stop a reader, nor what it writes."""
Bool = Annotated[bool, "bool"]
Uint8 = Annotated[int, "uint8"]
Uint16 = Annotated[int, "uint16"]
Uint24 = Annotated[int, "uint24"]
Uint32 = Annotated[int, "uint32"]
Uint64 = Annotated[int, "uint64"]
Uint256 = Annotated[int, "uint256"]
SharingClass = Annotated[Class, "uint8"]

IndexedBytes32 = Annotated[bytes, "bytes32", INDEXED]
IndexedAddress = Annotated[bytes, "address", INDEXED]
IndexedUint64 = Annotated[int, "uint64", INDEXED]
IndexedUint256 = Annotated[int, "uint256", INDEXED]


class Block(msgspec.Struct, frozen=True, gc=False):
    """The block that a log is in; logs of one block share one object."""

    number: int
    hash: bytes
    timestamp: int
    """Seconds since 1970: the time of every decision in the block."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What all events carry: where it stands, and which contract emitted it."""

    block: Block
    transaction: bytes
    """Hash of the transaction, 32 bytes."""
    log_index: int
    """Place among the logs of the block."""
    contract: bytes
    """Address, 20 bytes."""

    @property
    def name(self) -> str:
        return type(self).__name__


class NumberedEvent(Event, frozen=True, gc=False):
    """An event of the four contracts that number and chain theirs: all but the access log's.

    In the contract's declaration the number stands behind what is indexed, as the first word of the data.
    Source: contracts/interfaces/INumbered.sol.
    """

    number: int
    """From 1 for each contract, without a gap."""
    link: bytes
    """Topics and data, one after the other: the running hash goes on as keccak(head, link)[:24]."""


class RegistryEvent(NumberedEvent, frozen=True, gc=False):
    """Of `Registry`."""


class CatalogueEvent(NumberedEvent, frozen=True, gc=False):
    """Of `Catalogue`."""


class AgreementsEvent(NumberedEvent, frozen=True, gc=False):
    """Of `Agreements`."""


class AuthorizationsEvent(NumberedEvent, frozen=True, gc=False):
    """Of `Authorizations`."""


class Contracts(msgspec.Struct, frozen=True):
    """Addresses of the five contracts of a deployment, 20 bytes each."""

    registry: bytes
    catalogue: bytes
    agreements: bytes
    authorizations: bytes
    access_log: bytes


# Registry: parties, restrictions, the authority


IndexedChange = Annotated[Change, "uint8", INDEXED]


class PartyAdmitted(RegistryEvent, frozen=True, gc=False):
    """A party is admitted with exactly these roles, or its roles and name change."""

    party: IndexedAddress
    roles: Uint8
    """`ledger.model.Roles` as a number."""
    title: String
    """The party's name."""


class AdmissionAnnounced(RegistryEvent, frozen=True, gc=False):
    """A party is to be admitted with a role that a regulator may veto."""

    party: IndexedAddress
    roles: Uint8
    title: String
    effective_at: Uint64
    """Seconds since 1970."""


class AdmissionVetoed(RegistryEvent, frozen=True, gc=False):
    party: IndexedAddress
    regulator: IndexedAddress
    reason: String


class AdmissionRetracted(RegistryEvent, frozen=True, gc=False):
    party: IndexedAddress


class PartyWithdrawn(RegistryEvent, frozen=True, gc=False):
    """A party may do nothing any more; an admission that was announced for it ends too."""

    party: IndexedAddress


class ChangeAnnounced(RegistryEvent, frozen=True, gc=False):
    """A change of the registry is to come that a regulator may veto."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress
    effective_at: Uint64
    """Seconds since 1970."""


class ChangeVetoed(RegistryEvent, frozen=True, gc=False):
    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress
    regulator: Address
    reason: String


class ChangeRetracted(RegistryEvent, frozen=True, gc=False):
    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress


class ChangeMade(RegistryEvent, frozen=True, gc=False):
    """A change took effect; the first ones at the deployment."""

    change: IndexedChange
    first: IndexedAddress
    second: IndexedAddress


class RecorderNamed(RegistryEvent, frozen=True, gc=False):
    """A consumer lets a recorder record its requests."""

    consumer: IndexedAddress
    recorder: IndexedAddress


class RecorderDismissed(RegistryEvent, frozen=True, gc=False):
    consumer: IndexedAddress
    recorder: IndexedAddress


class EncryptionKeySet(RegistryEvent, frozen=True, gc=False):
    """A party names its HPKE public key: suite byte, then the key."""

    party: IndexedAddress
    key: Bytes


class ConsumerRestricted(RegistryEvent, frozen=True, gc=False):
    """A regulator denies a consumer's accesses until a time."""

    consumer: IndexedAddress
    regulator: IndexedAddress
    until: Uint64
    """Seconds since 1970, exclusive."""
    reason: String


class RestrictionAppealed(RegistryEvent, frozen=True, gc=False):
    consumer: IndexedAddress
    statement: String


class RestrictionLifted(RegistryEvent, frozen=True, gc=False):
    consumer: IndexedAddress
    regulator: IndexedAddress
    reason: String


class ContractAnnounced(RegistryEvent, frozen=True, gc=False):
    deployed: IndexedAddress
    contract_name: String


# Catalogue: datasets, publications, emergency orders


class DatasetTerms(msgspec.Struct, frozen=True, gc=False):
    code: str
    """Unique for the provider."""
    title: str
    fields: tuple[str, ...]
    """Names, in the order of the field bitmap; 1 to 256."""
    sharing: Class
    open: Class
    grade: int
    """1 general to 4 core."""
    personal: bool
    """About people or enterprises: only an authorization opens it."""
    update_cycle: int
    """Seconds between publications that the provider promises; zero for never."""


class OrderTerms(msgspec.Struct, frozen=True, gc=False):
    dataset: bytes
    purpose: bytes
    sharing: Class
    """Class while the order is in force; `NOT_SHARED` closes the dataset."""
    fields: int
    """Bitmap of the fields that it opens."""
    starts_at: int
    """Seconds since 1970, inclusive."""
    ends_at: int
    """Seconds since 1970, exclusive."""
    reason: str
    nonce: bytes


class DatasetRegistered(CatalogueEvent, frozen=True, gc=False):
    dataset: IndexedBytes32
    provider: IndexedAddress
    terms: Annotated[DatasetTerms, "(string,string,string[],uint8,uint8,uint8,bool,uint32)"]


class DatasetReclassified(CatalogueEvent, frozen=True, gc=False):
    dataset: IndexedBytes32
    sharing: SharingClass
    open: SharingClass
    grade: Uint8
    reason: String


class DatasetWithdrawn(CatalogueEvent, frozen=True, gc=False):
    dataset: IndexedBytes32
    reason: String


class Published(CatalogueEvent, frozen=True, gc=False):
    """A version of a dataset: count and Merkle root of its records."""

    dataset: IndexedBytes32
    version: IndexedUint64
    """From 1."""
    root: Bytes32
    count: Uint64
    base: Uint64
    """Version that the upload changed; zero when it carried all records."""
    manifest: Bytes32
    """SHA-256 of the provider's quality report, or zero."""


class RecordErased(CatalogueEvent, frozen=True, gc=False):
    """A record's salt and ciphertext were destroyed."""

    dataset: IndexedBytes32
    item: IndexedBytes32
    version: Uint64
    """A publication that contained it."""


class OrderIssued(CatalogueEvent, frozen=True, gc=False):
    """The authority re-classifies a dataset for a time."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    terms: Annotated[OrderTerms, "(bytes32,bytes32,uint8,uint256,uint64,uint64,string,bytes32)"]


class OrderCountersigned(CatalogueEvent, frozen=True, gc=False):
    """A regulator puts an order that opens in force."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    regulator: IndexedAddress


class OrderEnded(CatalogueEvent, frozen=True, gc=False):
    """An order ends before its time."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    by: IndexedAddress
    ends_at: Uint64
    reason: String


class OrderReviewed(CatalogueEvent, frozen=True, gc=False):
    """A regulator reviewed an order that is over."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    regulator: IndexedAddress
    findings: String


# Agreements: purposes, applications, agreements


class Text(msgspec.Struct, frozen=True, gc=False):
    language: str
    """BCP 47 tag ("zh", "en")."""
    template: str
    """With placeholders: `ledger.crypto.statement`."""


class PurposeTerms(msgspec.Struct, frozen=True, gc=False):
    """A purpose: fixed texts and the bounds that no authorization for it exceeds."""

    code: str
    texts: tuple[Text, ...]
    max_validity: int
    """Longest time from the later of `not_before` and the grant's block to `expires_at`, seconds."""
    max_uses: int
    min_interval: int
    """Least time between two uses that an authorization must ask for, seconds."""
    retention: int
    """How long the consumer may keep the data, seconds."""


class PurposeRegistered(AgreementsEvent, frozen=True, gc=False):
    """The authority sets a purpose, for ever."""

    purpose: IndexedBytes32
    terms: Annotated[PurposeTerms, "(string,(string,string)[],uint64,uint32,uint32,uint64)"]


class PurposeFieldsBound(AgreementsEvent, frozen=True, gc=False):
    """Which fields of a dataset a purpose may ever use; set once."""

    purpose: IndexedBytes32
    dataset: IndexedBytes32
    fields: Uint256


class PurposeRetired(AgreementsEvent, frozen=True, gc=False):
    purpose: IndexedBytes32


class Applied(AgreementsEvent, frozen=True, gc=False):
    application: IndexedBytes32
    consumer: IndexedAddress
    dataset: IndexedBytes32
    purpose: Bytes32
    fields: Uint256
    justification: String
    nonce: Bytes32


class ApplicationDeclined(AgreementsEvent, frozen=True, gc=False):
    application: IndexedBytes32
    reason: String


class AgreementApproved(AgreementsEvent, frozen=True, gc=False):
    """The provider approves an application, of all its fields or fewer."""

    agreement: IndexedBytes32
    application: IndexedBytes32
    agreement_number: Uint32
    """Short name of the agreement, from 1."""
    round: Uint16
    """Number of times that it was approved anew after a withdrawal."""
    fields: Uint256
    expires_at: Uint64
    """Seconds since 1970, exclusive."""


class ConfidentialitySigned(AgreementsEvent, frozen=True, gc=False):
    """The consumer signed the confidentiality agreement of an application."""

    application: IndexedBytes32
    consumer: IndexedAddress
    text_hash: Bytes32
    """Keccak-256 of the text."""
    nonce: Bytes32


class AgreementWithdrawn(AgreementsEvent, frozen=True, gc=False):
    agreement: IndexedBytes32
    by: IndexedAddress
    reason: String


class SupervisorAppointed(AgreementsEvent, frozen=True, gc=False):
    """A regulator lets a machine suspend agreements."""

    supervisor: IndexedAddress
    regulator: IndexedAddress


class SupervisorDismissed(AgreementsEvent, frozen=True, gc=False):
    supervisor: IndexedAddress
    regulator: IndexedAddress


class AgreementSuspended(AgreementsEvent, frozen=True, gc=False):
    """A supervisor suspends an agreement for half an hour."""

    agreement: IndexedBytes32
    supervisor: IndexedAddress
    until: Uint64
    """Seconds since 1970, exclusive."""
    reason: String


class SuspensionReviewed(AgreementsEvent, frozen=True, gc=False):
    agreement: IndexedBytes32
    regulator: IndexedAddress
    until: Uint64
    """When it ends from now on, seconds since 1970, exclusive."""
    findings: String


# Authorizations: subjects, keys, guardians, authorizations. Who signed something is there as the Keccak-256 of
# the signer's ERC-7913 bytes


Ground = Annotated[VoidGround, "uint8"]


class SubjectRegistered(AuthorizationsEvent, frozen=True, gc=False):
    """The identity authority registers a subject with its signer."""

    subject: IndexedBytes32
    subject_number: Uint32
    """From 1, without a gap."""
    registrar: Address
    signer: Bytes


class SubjectFrozen(AuthorizationsEvent, frozen=True, gc=False):
    """Everything of a subject stops."""

    subject: IndexedBytes32
    signer_hash: Bytes32
    liftable_at: Uint64
    """When the current key may lift it, seconds since 1970."""


class SubjectUnfrozen(AuthorizationsEvent, frozen=True, gc=False):
    subject: IndexedBytes32
    signer_hash: Bytes32


class SignerRotated(AuthorizationsEvent, frozen=True, gc=False):
    """A subject's signer names its successor; all guardians end."""

    subject: IndexedBytes32
    new_signer: Bytes
    stop_until: Uint64
    """Until when the replaced key may stop, seconds since 1970, exclusive."""


class GuardianAppointed(AuthorizationsEvent, frozen=True, gc=False):
    """A guardian may sign for a subject until a time, or until all guardians end."""

    subject: IndexedBytes32
    guardian_hash: Bytes32
    expires_at: Uint64
    """Seconds since 1970, exclusive."""


class GuardianDismissed(AuthorizationsEvent, frozen=True, gc=False):
    """A guardian may not consent any more, and stop for a while."""

    subject: IndexedBytes32
    guardian_hash: Bytes32
    stop_until: Uint64
    """Seconds since 1970, exclusive; zero for who was no guardian."""


class RecoveryStarted(AuthorizationsEvent, frozen=True, gc=False):
    """The identity authority starts replacing a key; the subject is halted until it ends."""

    subject: IndexedBytes32
    new_signer: Bytes
    effective_at: Uint64
    """Seconds since 1970."""


class RecoveryVetoed(AuthorizationsEvent, frozen=True, gc=False):
    subject: IndexedBytes32
    new_signer: Bytes


class RecoveryCompleted(AuthorizationsEvent, frozen=True, gc=False):
    """The new signer counts; what the old one signed stays halted until confirmed; all guardians end."""

    subject: IndexedBytes32
    new_signer: Bytes
    epoch: Uint24
    stop_until: Uint64
    """Until when the replaced key may stop, seconds since 1970, exclusive."""


class SubjectClosed(AuthorizationsEvent, frozen=True, gc=False):
    """The registrar closes a stolen id: no grant, no use, no recovery."""

    subject: IndexedBytes32


class SubjectOpened(AuthorizationsEvent, frozen=True, gc=False):
    """Registrar and current key together open a closed id."""

    subject: IndexedBytes32


class LinksEnded(AuthorizationsEvent, frozen=True, gc=False):
    """Links of an id that were issued up to now count no more."""

    subject: IndexedBytes32
    links_from: Uint64
    """The block's time."""


GRANT_TERMS: Final = (
    "(bytes32,address,bytes32,bytes32,bytes32,uint256,bytes32,bytes32,"
    "uint64,uint64,uint32,uint32,bytes32,uint64)"
)


class GrantTerms(msgspec.Struct, frozen=True, gc=False):
    """An authorization as the chain sees it: the statement is there as its hash."""

    subject: bytes
    consumer: bytes
    dataset: bytes
    item: bytes
    """Root of the one record that may be read; zero for all."""
    purpose: bytes
    fields: int
    case_reference: bytes
    statement_hash: bytes
    """Keccak-256 of the statement."""
    not_before: int
    """Seconds since 1970, inclusive."""
    expires_at: int
    """Seconds since 1970, exclusive."""
    max_uses: int
    min_interval: int
    """Seconds."""
    nonce: bytes
    deadline: int
    """Seconds since 1970, inclusive."""


class Granted(AuthorizationsEvent, frozen=True, gc=False):
    """A subject authorizes; the indexed attributes repeat the terms."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    consumer: IndexedAddress
    terms: Annotated[GrantTerms, GRANT_TERMS]
    agreement: Uint32
    """Number of the agreement behind it."""
    round: Uint16
    """The agreement's."""
    epoch: Uint24
    signer_hash: Bytes32


class Revoked(AuthorizationsEvent, frozen=True, gc=False):
    """An authorization ends for good, or never begins: it may come before the grant.

    Of `subject` alone: of an authorization that is another subject's it says nothing.
    """

    authorization: IndexedBytes32
    subject: IndexedBytes32
    signer_hash: Bytes32


class Confirmed(AuthorizationsEvent, frozen=True, gc=False):
    """An authorization that a replaced key signed counts again."""

    authorization: IndexedBytes32
    subject: IndexedBytes32
    epoch: Uint24
    signer_hash: Bytes32


class AccessVoided(AuthorizationsEvent, frozen=True, gc=False):
    """A regulator gives a use back that was recorded and never served."""

    authorization: IndexedBytes32
    sequence: IndexedUint256
    """Of the access."""
    regulator: IndexedAddress
    last_use: Uint32
    """Of the authorization from now on; zero for never."""
    ground: Ground
    reason: String


# AccessLog


ACCESSED_SIGNATURE: Final = "Accessed(bytes32,uint256,uint256,bytes32)"
ITEM_ACCESSED_SIGNATURE: Final = "ItemAccessed(bytes32,uint256,uint256,bytes32,bytes32)"
RECORDED_SIGNATURE: Final = "Recorded(address,uint256,bytes32)"
SKIPPED_SIGNATURE: Final = "BatchSkipped(address,address)"


class Accessed(Event, frozen=True, gc=False):
    """One access, allowed or denied: the contract's `Accessed`, or `ItemAccessed` when it has an item.

    It has the attributes of `typed_data.AccessRequest`, so it can be decided again as it is.
    """

    basis: bytes
    """Id of an authorization, an agreement, an order or a dataset."""
    fields: int
    nonce: int
    consumer: bytes
    sequence: int
    """From 1, without a gap."""
    deadline: int
    outcome: Outcome
    item: bytes
    """Root of one record; zero for all that the basis covers."""
    data: bytes
    """The log's data: the running hash goes on as keccak(head, basis, data)."""

    @property
    def name(self) -> str:
        return "Accessed" if self.item == ZERO_WORD else "ItemAccessed"


class Recorded(Event, frozen=True, gc=False):
    """Ends each call of `record`: who recorded, and the state after it."""

    recorder: bytes
    sequence: int
    head: bytes


class BatchSkipped(Event, frozen=True, gc=False):
    """A batch whose consumer had not named the recorder: nothing of it was recorded."""

    consumer: bytes
    recorder: bytes

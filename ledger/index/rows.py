"""What the index answers with. Ids and hashes are bytes, times seconds since 1970."""

from collections.abc import Mapping

import msgspec

from ledger.model import Class, Outcome, Roles


class Head(msgspec.Struct, frozen=True):
    """How far the index is."""

    number: int
    """Of the last final block in it; the block before the deployment's at first."""
    hash: bytes
    timestamp: int
    sequence: int
    """Of the last access in it."""
    faults: int = 0
    """Events up to there that no contract can have emitted in their place."""

    @property
    def problem(self) -> str | None:
        """Why nothing may be decided by the index; None where all is well."""
        if not self.faults:
            return None
        return f"{self.faults} events on chain cannot be: the node lies, or lacks events"


class Fault(msgspec.Struct, frozen=True):
    """One thing that no contract can have emitted in its place, and where."""

    block_number: int
    log_index: int
    name: str
    """Of the event; empty where it could not be read."""
    problem: str


class PartyEntry(msgspec.Struct, frozen=True):
    """An address that was ever admitted."""

    address: bytes
    name: str
    roles: Roles
    active: bool
    restricted_until: int
    """Exclusive; zero when never restricted, or lifted."""
    restriction: str
    """Reason of the last restriction."""
    appeal: str
    encryption_key: bytes
    recorders: frozenset[bytes]
    """Whom it named to record its requests."""

    def is_active(self, role: Roles) -> bool:
        """Whether the party is admitted now in this role."""
        return self.active and role in self.roles


class DatasetEntry(msgspec.Struct, frozen=True):
    """A dataset."""

    id: bytes
    provider: bytes
    code: str
    title: str
    fields: tuple[str, ...]
    personal: bool
    sharing: Class
    open: Class
    grade: int
    update_cycle: int
    """Seconds; zero for never."""
    withdrawn: bool
    version: int
    """Newest on chain; zero for none."""
    published_at: int
    registered_at: int


class PublicationEntry(msgspec.Struct, frozen=True):
    """One version of a dataset as it is on chain."""

    dataset: bytes
    version: int
    root: bytes
    count: int
    base: int
    manifest: bytes
    place: "Place"


class Place(msgspec.Struct, frozen=True):
    """The transaction in which something happened."""

    block_number: int
    block_hash: bytes
    timestamp: int
    transaction: bytes


class ErasureEntry(msgspec.Struct, frozen=True):
    """The tombstone of a record."""

    dataset: bytes
    item: bytes
    version: int
    place: Place


class PurposeEntry(msgspec.Struct, frozen=True):
    """A purpose with its bounds."""

    id: bytes
    code: str
    texts: tuple[tuple[str, str], ...]
    """Language and template of each."""
    max_validity: int
    max_uses: int
    min_interval: int
    retention: int
    active: bool
    fields: Mapping[bytes, int]
    """For each dataset, the fields that the purpose may ever use."""


class OrderEntry(msgspec.Struct, frozen=True):
    """An emergency order."""

    id: bytes
    dataset: bytes
    purpose: bytes
    sharing: Class
    fields: int
    starts_at: int
    ends_at: int
    reason: str
    countersigned: bool
    reviewed: bool
    findings: str


class ApplicationEntry(msgspec.Struct, frozen=True):
    """A consumer's application."""

    id: bytes
    consumer: bytes
    dataset: bytes
    purpose: bytes
    fields: int
    justification: str
    state: str
    """pending, approved or declined."""
    reason: str
    signed: bool
    """Whether its confidentiality agreement is signed."""
    place: Place


class AgreementEntry(msgspec.Struct, frozen=True):
    """An agreement as it stands."""

    number: int
    id: bytes
    application: bytes
    consumer: bytes
    dataset: bytes
    purpose: bytes
    fields: int
    expires_at: int
    withdrawn: bool
    round: int
    suspended_until: int
    """Exclusive; zero when it was never suspended."""
    suspension_unseen: bool
    """Whether no regulator has looked at the last suspension yet."""
    reason: str
    signed: bool
    place: Place


class SubjectEntry(msgspec.Struct, frozen=True):
    """A subject as it stands."""

    id: bytes
    number: int
    registrar: bytes
    """The identity authority that registered it."""
    links_from: int
    """Links issued up to this second count no more."""
    signer: bytes
    frozen: bool
    liftable_at: int
    """When the current key may lift another's freeze; zero while not frozen."""
    closed: bool
    epoch: int
    recovery_at: int
    """When the pending recovery may take effect; zero for none."""
    pending_signer: bytes


class BasisEntry(msgspec.Struct, frozen=True):
    """What an access can rest on."""

    id: bytes
    kind: str
    """authorization, agreement, order or dataset."""
    dataset: bytes
    subject: bytes | None
    item: bytes
    """Of an authorization for one record; else 32 zero bytes."""
    personal: bool


class AuthorizationEntry(msgspec.Struct, frozen=True):
    """An authorization as the chain knows it."""

    id: bytes
    subject: bytes
    consumer: bytes
    dataset: bytes
    item: bytes
    purpose: bytes
    fields: int
    case_reference: bytes
    statement_hash: bytes
    not_before: int
    expires_at: int
    max_uses: int
    min_interval: int
    nonce: bytes
    deadline: int
    agreement: int
    round: int
    """The agreement's when it was granted; in another one it counts no more."""
    epoch: int
    """Of the subject when it was granted or confirmed last."""
    signer_hash: bytes
    place: Place
    revoked: bool
    halted: bool
    """The subject is frozen, closed or under recovery, or has not confirmed it since a recovery."""
    uses: int
    """Allowed accesses so far, without those that were voided."""
    last_use: int
    """Zero for never."""


class AccessEntry(msgspec.Struct, frozen=True):
    """One access."""

    sequence: int
    place: Place
    log_index: int
    consumer: bytes
    basis: bytes
    kind: str
    """As in `BasisEntry`, or unknown."""
    dataset: bytes | None
    subject: bytes | None
    outcome: Outcome
    deadline: int
    fields: int
    nonce: int
    item: bytes
    voided: bool
    """Whether a regulator gave the use back."""


class EventEntry(msgspec.Struct, frozen=True):
    """One event that is not an access."""

    key: int
    """Increasing in the order of the chain."""
    place: Place
    log_index: int
    name: str
    unfit: bool
    """Whether a text in it is not plain, or had to be escaped to be kept."""
    body: str
    """JSON object of its members."""


class Stats(msgspec.Struct, frozen=True):
    """Some numbers."""

    datasets: int
    publications: int
    parties: int
    subjects: int
    authorizations: int
    accesses: int
    allowed: int


class Snapshot(msgspec.Struct, frozen=True):
    """What every request may need, in memory, as of one block. Never changes; a new one replaces it."""

    head: Head
    parties: Mapping[bytes, PartyEntry]
    datasets: Mapping[bytes, DatasetEntry]
    purposes: Mapping[bytes, PurposeEntry]
    orders: Mapping[bytes, OrderEntry]
    named: Mapping[bytes, bool]
    """Whose admission or authority was announced, and supervisors: parties or not."""
    successors: Mapping[bytes, bytes]
    """Of identity authorities."""
    ended_links: Mapping[bytes, int]
    """Of the subjects whose links were ended: up to which second."""
    erasures: Mapping[bytes, int]
    """Of the datasets of which records were erased: how many."""

    def party(self, address: bytes, role: Roles) -> PartyEntry | None:
        """Return a party if it is admitted now in this role."""
        party = self.parties.get(address)
        return party if party is not None and party.is_active(role) else None

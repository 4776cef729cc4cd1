"""What the contracts hold: the state that `ledger.state` rebuilds from events, and its enumerations."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, IntFlag
from typing import Final

import msgspec

ZERO_WORD: Final = bytes(32)
"""The id, item or root that stands for none or for all, and the running hash before the first access."""

ZERO_ADDRESS: Final = bytes(20)
"""Nobody's address."""


class EventState(msgspec.Struct, frozen=True):
    """How far one of the four contracts that number their events has got."""

    count: int
    head: bytes
    """24 bytes."""


class LinkFault(Enum):
    OVER = "it is over"
    TOO_LONG = "it lasts longer than 30 days"
    AHEAD = "it is issued ahead of time"
    ENDED = "the identity authority ended the links of the subject"
    FOREIGN = "it is not signed by the subject's identity authority"


class Class(IntEnum):
    """Sharing class (共享属性) or open class (开放属性) of a dataset."""

    UNCONDITIONAL = 0
    CONDITIONAL = 1
    NOT_SHARED = 2


class Roles(IntFlag):
    """What a party may be: any set of these. Bit i is Solidity's `Role` number i."""

    PROVIDER = 1
    CONSUMER = 2
    REGULATOR = 4
    RECORDER = 8
    KEYHOLDER = 16
    IDENTITY_AUTHORITY = 32


ALL_ROLES: Final = 0b111111
"""Every role there is, as a plain number."""


class Change(IntEnum):
    """What the authority announces beside admissions, each about up to two addresses."""

    AUTHORITY = 0
    """The next authority; zero."""
    VERIFIER = 1
    """A verifier of signatures (ERC-7913); zero."""
    SUCCESSOR = 2
    """An identity authority; who acts for the subjects that it registered."""


class VoidGround(IntEnum):
    """Why a use is given back."""

    UNSIGNED = 0
    """No gateway's journal has a signature, and no keyholder's a release."""
    NEVER_HANDED_OUT = 1
    """The release window is over, and too few keyholders released for anybody to open it."""


class Outcome(IntEnum):
    """How an access was decided, in the order in which the decision looks (DESIGN 3.3).

    The numbers are part of the running hash and never change.
    """

    ALLOWED = 0
    DUPLICATE_REQUEST = 1
    REQUEST_EXPIRED = 2
    CONSUMER_INACTIVE = 3
    CONSUMER_RESTRICTED = 4
    UNKNOWN_BASIS = 5
    CONSUMER_MISMATCH = 6
    DATASET_INACTIVE = 7
    AGREEMENT_INACTIVE = 8
    NOT_YET_VALID = 9
    EXPIRED = 10
    REVOKED = 11
    FROZEN = 12
    ITEM_EXCEEDED = 13
    FIELDS_EXCEEDED = 14
    TOO_SOON = 15
    USES_EXHAUSTED = 16

    @property
    def title(self) -> str:
        """The name as DESIGN and the contracts write it: `UsesExhausted`."""
        return self.name.title().replace("_", "")


OUTCOMES: Final = tuple(Outcome)
"""The outcomes by number; looking one up here is five times as fast as calling `Outcome`."""


class Delays(msgspec.Struct, frozen=True):
    """What a deployment fixed and no event tells before it matters; the deployment file has it."""

    recovery: int
    """Seconds between the start of a recovery and its taking effect, also of other rights to stop."""
    admission: int
    """Seconds from an announcement in the registry to its taking effect."""


class Party(msgspec.Struct, gc=False):
    name: str
    roles: int
    """`ledger.model.Roles` as a number."""
    active: bool = True
    restricted_until: int = 0
    """Exclusive; zero when never restricted."""
    encryption_key: bytes = b""
    recorders: set[bytes] = set()


class Admission(msgspec.Struct, frozen=True, gc=False):
    roles: int
    name: str
    effective_at: int


class Publication(msgspec.Struct, frozen=True, gc=False):
    root: bytes
    count: int
    base: int
    """Version that the upload changed; zero when it carried all records."""
    published_at: int
    manifest: bytes


class Order(msgspec.Struct, gc=False):
    id: bytes
    dataset: bytes
    purpose: bytes
    sharing: Class
    fields: int
    starts_at: int
    ends_at: int
    countersigned: bool = False
    reviewed: bool = False
    ended: bool = False
    """Whether an act ended it, before its time."""


class Dataset(msgspec.Struct, gc=False):
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
    withdrawn: bool = False
    last_opening: Order | None = None
    """The last order that was countersigned."""
    last_closing: Order | None = None
    unreviewed_closings: int = 0
    """Orders that close and wait for a review, but for those that ended before their start."""
    publications: list[Publication] = []
    """Version `n` at place `n - 1`."""
    erased: dict[bytes, int] = {}
    """Roots of records that were destroyed, each with the version that the tombstone names."""


class Purpose(msgspec.Struct, gc=False):
    code: str
    max_validity: int
    max_uses: int
    min_interval: int
    retention: int
    texts: tuple[tuple[str, str], ...] = ()
    """Language and template of each."""
    active: bool = True
    fields: dict[bytes, int] = {}
    """For each dataset the fields that the purpose may ever use."""


class Application(msgspec.Struct, gc=False):
    consumer: bytes
    dataset: Dataset
    purpose: bytes
    fields: int
    decided: bool = False
    signed: bool = False
    """Whether its confidentiality agreement is signed."""


class Agreement(msgspec.Struct, gc=False):
    """What a provider and a consumer agreed on; another approval changes it in place."""

    id: bytes
    number: int
    consumer: bytes
    dataset: Dataset
    purpose: bytes
    application: Application
    fields: int
    expires_at: int
    withdrawn: bool = False
    round: int = 0
    """Number of times that it was approved anew after a withdrawal: consents of another round have ended."""
    suspended_until: int = 0
    """Exclusive."""
    suspension_unseen: bool = False
    """Whether no regulator has looked at the last suspension yet."""


class Guardian(msgspec.Struct, frozen=True, gc=False):
    """Until when (exclusive) somebody may consent for a subject, and stop for it."""

    consent_until: int
    stop_until: int
    era: int
    """The subject's when it appointed; in another one the guardian consents no more."""


class Subject(msgspec.Struct, gc=False):
    """A person or an enterprise, known by a random id.

    Who signs is known by the Keccak-256 of the signer's bytes.
    """

    id: bytes
    number: int
    registrar: bytes
    """The identity authority that registered it."""
    signer: bytes
    signer_hash: bytes
    frozen: bool = False
    frozen_by: bytes = ZERO_WORD
    """Who may lift the freeze at once; `ZERO_WORD` for nobody."""
    liftable_at: int = 0
    """When the current key may lift it."""
    closed: bool = False
    epoch: int = 0
    """Number of recoveries that took effect."""
    recovery_at: int = 0
    """When the pending recovery may take effect; zero for none."""
    pending_signer: bytes = b""
    links_from: int = 0
    """Links issued up to this second count no more."""
    era_ends: list[int] = []
    """When all guardians ended: as many times as there are entries, each entry the second of one."""
    guardians: dict[bytes, Guardian] = {}
    replaced: dict[bytes, int] = {}
    """Keys that were replaced, each with the second until which (exclusive) it may stop."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What authorizations of one agreement, granted in the same round and for the same fields, share."""

    number: int
    agreement: Agreement
    round: int
    fields: int


class Authorization(msgspec.Struct, gc=False):
    """An authorization: what the decision asks of it."""

    subject: Subject
    terms: Terms
    consumer_name: str
    """The consumer's as of the grant's place on chain: the person was shown it."""
    item: bytes
    """Root of the one record that may be read; `ZERO_WORD` for all."""
    not_before: int
    expires_at: int
    min_interval: int
    max_uses: int
    uses_left: int
    epoch: int
    """Of the subject when it was granted or confirmed last."""
    last_use: int = 0
    """Zero for never."""
    voids: int = 0
    """How many uses were given back."""
    revoked: bool = False
    is_stated: bool | None = None
    """Whether its statement says what it authorizes. No event tells: None until whoever follows has seen
    the signed record (`ledger.crypto.statement`)."""

    @property
    def was_used(self) -> bool:
        """Whether it was used, also where every use was given back."""
        return self.uses_left < self.max_uses or self.voids > 0


class EventChain(msgspec.Struct, gc=False):
    """How far the numbered events of one contract have got (contracts/interfaces/INumbered.sol)."""

    count: int = 0
    head: bytes = bytes(24)


@dataclass(slots=True, eq=False)
class State:
    """Everything that the five contracts hold, as far as events tell; by id or address where nothing else is said."""

    delays: Delays
    founding: bytes = b""
    """Transaction that deployed the registry; empty before it."""
    authority: bytes | None = None
    """The account at the head of the registry; None before the registry is deployed."""
    parties: dict[bytes, Party] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)
    """The party whose name it is or was."""
    admissions: dict[bytes, Admission] = field(default_factory=dict)
    """That the present authority announced, by party; also those that lapsed."""
    changes: dict[tuple[Change, bytes, bytes], int] = field(default_factory=dict)
    """That it announced, by what they are about, with the second from which they can be made; also those that lapsed."""
    veto_until: dict[bytes, int] = field(default_factory=dict)
    """Until when (exclusive) regulators who are none any more may veto."""
    verifiers: set[bytes] = field(default_factory=set)
    """Of signatures."""
    successors: dict[bytes, bytes] = field(default_factory=dict)
    """Of identity authorities."""
    announced: dict[str, bytes] = field(default_factory=dict)
    """The newest address of each announced contract, by name."""
    datasets: dict[bytes, Dataset] = field(default_factory=dict)
    orders: dict[bytes, Order] = field(default_factory=dict)
    purposes: dict[bytes, Purpose] = field(default_factory=dict)
    applications: dict[bytes, Application] = field(default_factory=dict)
    agreements: dict[bytes, Agreement] = field(default_factory=dict)
    numbered: dict[int, Agreement] = field(default_factory=dict)
    """Agreements by number, from 1."""
    supervisors: dict[bytes, bytes] = field(default_factory=dict)
    """Machines that may suspend agreements, each with the regulator who appointed it."""
    subjects: dict[bytes, Subject] = field(default_factory=dict)
    authorizations: dict[bytes, Authorization] = field(default_factory=dict)
    terms: dict[tuple[int, int, int], Terms] = field(default_factory=dict)
    """By agreement's number, round and fields."""
    tombstones: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Revocations that came before their grant: authorization and subject."""
    voided: set[tuple[bytes, int]] = field(default_factory=set)
    """Uses that were given back: authorization, and number of the access."""
    nonces: dict[bytes, dict[int, int]] = field(default_factory=dict)
    """Per consumer, the request nonces that were used: 256 of them in a word, as on chain."""
    sequence: int = 0
    """Number of accesses."""
    head: bytes = ZERO_WORD
    """Running hash over all accesses."""
    unclosed: bytes = b""
    """Transaction of accesses whose call of `record` has not ended yet; empty for none."""
    unclosed_consumers: set[bytes] = field(default_factory=set)
    """Whose accesses these are."""
    chains: dict[bytes, EventChain] = field(default_factory=dict)
    """Of the numbered events, by contract."""

    def nonce_used(self, consumer: bytes, nonce: int) -> bool:
        """Whether a consumer's request with this nonce was recorded."""
        words = self.nonces.get(consumer)
        return words is not None and words.get(nonce >> 8, 0) >> (nonce & 0xFF) & 1 == 1

    def use_nonce(self, consumer: bytes, nonce: int) -> None:
        """For `ledger.state` only."""
        words = self.nonces.setdefault(consumer, {})
        words[nonce >> 8] = words.get(nonce >> 8, 0) | 1 << (nonce & 0xFF)


def has_role(party: Party | None, role: Roles) -> bool:
    """Whether a party is admitted now, with a role. Says nothing of restrictions."""
    return party is not None and party.active and bool(party.roles & role)


CLASSES: Final = {
    "Unconditional": Class.UNCONDITIONAL,
    "Conditional": Class.CONDITIONAL,
    "NotShared": Class.NOT_SHARED,
}
"""The classes by the names that DESIGN gives them."""

"""What the contracts hold, as Python objects: the state that `ledger.state` rebuilds from events.

Objects refer to each other instead of naming ids, so that a decision follows references; no
reference leads back, so memory is freed at once. They change in place: a history of millions of
accesses cannot copy. Only `ledger.state.apply` changes them; everybody else reads.

Ids and roots are 32 bytes, addresses 20 bytes, times seconds since 1970, sets of fields bitmaps,
signers ERC-7913 bytes.

Source: the storage of contracts/*.sol.
"""

from typing import Final

import msgspec

from ledger.enumerations import Class

NOTHING: Final = bytes(32)
"""The id or item that stands for none, and the running hash before the first access."""


class Party(msgspec.Struct, gc=False):
    """Somebody who was ever admitted."""

    name: str
    roles: int
    """`ledger.enumerations.Roles` as a number."""
    active: bool = True
    restricted_until: int = 0
    """Exclusive; zero when never restricted."""
    encryption_key: bytes = b""


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One version of a dataset."""

    root: bytes
    count: int
    base: int
    """Version that the upload changed; zero when it carried all records."""
    published_at: int
    manifest: bytes


class Order(msgspec.Struct, gc=False):
    """An emergency order."""

    id: bytes
    dataset: bytes
    purpose: bytes
    sharing: Class
    fields: int
    starts_at: int
    ends_at: int
    reviewed: bool = False
    ended: bool = False
    """Whether an act ended it, before its time."""


class Dataset(msgspec.Struct, gc=False):
    """A dataset of a provider."""

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
    last_order: Order | None = None
    publications: list[Publication] = []
    """Version `n` at place `n - 1`."""
    erased: dict[bytes, int] = {}
    """Roots of records that were destroyed, each with the version that the tombstone names."""


class Purpose(msgspec.Struct, gc=False):
    """A purpose and its bounds."""

    code: str
    max_validity: int
    max_uses: int
    min_interval: int
    retention: int
    active: bool = True
    fields: dict[bytes, int] = {}
    """For each dataset the fields that the purpose may ever use."""


class Application(msgspec.Struct, gc=False):
    """A consumer's application for a dataset and a purpose."""

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


class Guardian(msgspec.Struct, frozen=True, gc=False):
    """Until when somebody may sign for a subject."""

    expires_at: int
    """Exclusive; zero for a guardian who was dismissed."""
    epoch: int
    """The subject's when it appointed; in another one the guardian does not count."""


class Subject(msgspec.Struct, gc=False):
    """A person or an enterprise, known by a random id."""

    id: bytes
    number: int
    signer: bytes
    frozen: bool = False
    epoch: int = 0
    """Number of recoveries that took effect."""
    recovery_at: int = 0
    """When the pending recovery may take effect; zero for none."""
    pending_signer: bytes = b""
    guardians: dict[bytes, Guardian] = {}
    retired: dict[bytes, int] = {}
    """Signers that recovery replaced, each with the last epoch in which it did not count any more."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What authorizations of one agreement and for the same fields share."""

    number: int
    agreement: Agreement
    fields: int


class Authorization(msgspec.Struct, gc=False):
    """An authorization: what the decision asks of it."""

    subject: Subject
    terms: Terms
    item: bytes
    """Root of the one record that may be read; `NOTHING` for all."""
    not_before: int
    expires_at: int
    min_interval: int
    uses_left: int
    epoch: int
    """Of the subject when it was granted or confirmed last."""
    granted_in: int
    """Epoch in which it was granted; confirming it takes no right to revoke away."""
    last_use: int = 0
    """Zero for never."""
    revoked: bool = False


class State:
    """Everything that the five contracts hold, as far as events tell.

    Attributes:
        authority: The account at the head of the registry; None before the registry is deployed.
        successor: To whom the authority offered its place.
        parties: By address.
        announced: The newest address of each announced contract, by name.
        datasets: By id; as are orders, purposes, applications, agreements, subjects and
            authorizations.
        numbered: Agreements by number, from 1.
        terms: By agreement's number and fields.
        nonces: Per consumer, the request nonces that were used: 256 of them in a word, as on chain.
        sequence: Number of accesses.
        head: Running hash over all accesses.
        unclosed: Transaction of accesses whose call of `record` has not ended yet; empty for none.
        recovery_delay: Seconds, fixed at deployment; None until a recovery shows it.
    """

    __slots__ = (
        "agreements",
        "announced",
        "applications",
        "authority",
        "authorizations",
        "datasets",
        "head",
        "nonces",
        "numbered",
        "orders",
        "parties",
        "purposes",
        "recovery_delay",
        "sequence",
        "subjects",
        "successor",
        "terms",
        "unclosed",
    )

    def __init__(self) -> None:
        self.authority: bytes | None = None
        self.successor: bytes | None = None
        self.parties: dict[bytes, Party] = {}
        self.announced: dict[str, bytes] = {}
        self.datasets: dict[bytes, Dataset] = {}
        self.orders: dict[bytes, Order] = {}
        self.purposes: dict[bytes, Purpose] = {}
        self.applications: dict[bytes, Application] = {}
        self.agreements: dict[bytes, Agreement] = {}
        self.numbered: dict[int, Agreement] = {}
        self.subjects: dict[bytes, Subject] = {}
        self.authorizations: dict[bytes, Authorization] = {}
        self.terms: dict[tuple[int, int], Terms] = {}
        self.nonces: dict[bytes, dict[int, int]] = {}
        self.sequence = 0
        self.head = NOTHING
        self.unclosed = b""
        self.recovery_delay: int | None = None

    def nonce_used(self, consumer: bytes, nonce: int) -> bool:
        """Whether a consumer's request with this nonce was recorded."""
        words = self.nonces.get(consumer)
        return words is not None and words.get(nonce >> 8, 0) >> (nonce & 0xFF) & 1 == 1

    def use_nonce(self, consumer: bytes, nonce: int) -> None:
        """Remember a consumer's nonce. For `ledger.state` only."""
        words = self.nonces.setdefault(consumer, {})
        words[nonce >> 8] = words.get(nonce >> 8, 0) | 1 << (nonce & 0xFF)

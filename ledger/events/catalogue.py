"""Events of `Catalogue`: datasets, publications, emergency orders. Source: contracts/interfaces/ICatalogue.sol."""

from typing import Annotated, Final

import msgspec

from ledger.enumerations import Class
from ledger.events.abi import (
    Bytes32,
    IndexedAddress,
    IndexedBytes32,
    IndexedUint64,
    NumberedEvent,
    SharingClass,
    String,
    Uint8,
    Uint64,
)


class DatasetTerms(msgspec.Struct, frozen=True, gc=False):
    """What a provider registers."""

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
    """What an emergency order says."""

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


class DatasetRegistered(NumberedEvent, frozen=True, gc=False):
    """A provider registers a dataset."""

    dataset: IndexedBytes32
    provider: IndexedAddress
    terms: Annotated[DatasetTerms, "(string,string,string[],uint8,uint8,uint8,bool,uint32)"]


class DatasetReclassified(NumberedEvent, frozen=True, gc=False):
    """A dataset's classes and grade change."""

    dataset: IndexedBytes32
    sharing: SharingClass
    open: SharingClass
    grade: Uint8
    reason: String


class DatasetWithdrawn(NumberedEvent, frozen=True, gc=False):
    """A dataset is withdrawn for good."""

    dataset: IndexedBytes32
    reason: String


class Published(NumberedEvent, frozen=True, gc=False):
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


class RecordErased(NumberedEvent, frozen=True, gc=False):
    """A record's salt and ciphertext were destroyed."""

    dataset: IndexedBytes32
    item: IndexedBytes32
    version: Uint64
    """A publication that contained it."""


class OrderIssued(NumberedEvent, frozen=True, gc=False):
    """The authority re-classifies a dataset for a time."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    terms: Annotated[OrderTerms, "(bytes32,bytes32,uint8,uint256,uint64,uint64,string,bytes32)"]


class OrderCountersigned(NumberedEvent, frozen=True, gc=False):
    """A regulator puts an order that opens in force."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    regulator: IndexedAddress


class OrderEnded(NumberedEvent, frozen=True, gc=False):
    """An order ends before its time."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    by: IndexedAddress
    ends_at: Uint64
    reason: String


class OrderReviewed(NumberedEvent, frozen=True, gc=False):
    """A regulator reviewed an order that is over."""

    order: IndexedBytes32
    dataset: IndexedBytes32
    regulator: IndexedAddress
    findings: String


EVENTS: Final[tuple[type[NumberedEvent], ...]] = (
    DatasetRegistered,
    DatasetReclassified,
    DatasetWithdrawn,
    Published,
    RecordErased,
    OrderIssued,
    OrderCountersigned,
    OrderEnded,
    OrderReviewed,
)

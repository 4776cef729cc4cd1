"""Providers and gateway: the ciphertext of a publication, and erasures."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ledger.api.forms import Body, Count, Hash, Text32


class UploadWanted(Body):
    """Zero for all records, else the version that the upload changes."""

    base: Annotated[int, Field(ge=0, lt=2**62)] = 0


@dataclass(frozen=True, slots=True)
class UploadBegun:
    """An upload, and how many lines it has."""

    upload: str
    received: Count


@dataclass(frozen=True, slots=True)
class UploadShown:
    """How far an upload is."""

    upload: str
    state: str
    """open, sealing, sealed or served."""
    base: int
    received: Count
    records: int
    root: Text32 | None
    count: int | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Root and count of the whole version."""

    root: Text32
    count: Count


class PublishWanted(Body):
    """As which version on chain."""

    version: Annotated[int, Field(gt=0, lt=2**62)]


@dataclass(frozen=True, slots=True)
class Served:
    """A version that is served from now on."""

    dataset: Text32
    version: int
    root: Text32
    count: Count
    served_from_block: int


class ErasureWanted(Body):
    """The transaction that set the tombstone, and the record's number."""

    number: Annotated[int, Field(ge=0, lt=2**64)]
    transaction: Hash

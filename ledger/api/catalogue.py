"""Anybody and gateway: datasets, purposes, parties, some numbers."""

from dataclasses import dataclass

from ledger.api.forms import Count, Text20, Text32


@dataclass(frozen=True, slots=True)
class PublicationShown:
    """The newest version of a dataset on chain."""

    version: int
    root: Text32
    count: Count
    published_at: int


@dataclass(frozen=True, slots=True)
class DatasetShown:
    """A dataset of the catalogue."""

    dataset: Text32
    code: str
    title: str
    fields: tuple[str, ...]
    sharing: str
    open: str
    grade: int
    personal: bool
    update_cycle: int
    withdrawn: bool
    provider: Text20
    provider_name: str
    publication: PublicationShown | None
    served: int | None
    """Newest version that this gateway serves."""


@dataclass(frozen=True, slots=True)
class TextShown:
    """A purpose's text in one language."""

    language: str
    template: str


@dataclass(frozen=True, slots=True)
class PurposeShown:
    """A purpose and its bounds."""

    purpose: Text32
    code: str
    texts: tuple[TextShown, ...]
    max_validity: int
    max_uses: int
    min_interval: int
    retention: int
    active: bool
    fields: dict[str, str]
    """For each dataset the bitmap of fields that it may ever use."""


@dataclass(frozen=True, slots=True)
class PurposesAnswer:
    """All purposes."""

    purposes: tuple[PurposeShown, ...]


@dataclass(frozen=True, slots=True)
class PartyShown:
    """A party."""

    address: Text20
    name: str
    roles: tuple[str, ...]
    active: bool
    restricted_until: int
    restriction: str
    encryption_key: str


@dataclass(frozen=True, slots=True)
class PartiesAnswer:
    """All parties that were ever admitted."""

    parties: tuple[PartyShown, ...]


@dataclass(frozen=True, slots=True)
class StatsAnswer:
    """Some numbers, as of a block."""

    datasets: int
    publications: int
    parties: int
    subjects: int
    authorizations: int
    accesses: int
    allowed: int
    block_number: int

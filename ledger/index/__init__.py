"""The chain's events in tables, for questions that the chain itself does not answer.

`Index` is what everybody uses; `Follower` keeps it up to date from a node.
"""

from ledger.errors import LedgerError
from ledger.index.follower import Follower, FollowerSettings
from ledger.index.index import Index, Origin
from ledger.index.reader import Selection, Transactions
from ledger.index.rows import (
    AccessEntry,
    AgreementEntry,
    ApplicationEntry,
    AuthorizationEntry,
    BasisEntry,
    DatasetEntry,
    ErasureEntry,
    EventEntry,
    Head,
    OrderEntry,
    PartyEntry,
    Place,
    PublicationEntry,
    PurposeEntry,
    Snapshot,
    Stats,
    SubjectEntry,
)

__all__ = [
    "AccessEntry",
    "AgreementEntry",
    "ApplicationEntry",
    "AuthorizationEntry",
    "BasisEntry",
    "DatasetEntry",
    "ErasureEntry",
    "EventEntry",
    "Follower",
    "FollowerSettings",
    "Head",
    "Index",
    "LedgerError",
    "OrderEntry",
    "Origin",
    "PartyEntry",
    "Place",
    "PublicationEntry",
    "PurposeEntry",
    "Selection",
    "Snapshot",
    "Stats",
    "SubjectEntry",
    "Transactions",
]

"""The chain's events in tables, for questions that the chain itself does not answer.

`Index` is what everybody uses; `Follower` keeps it up to date from a node.
"""

from ledger.index.follower import Follower, FollowerSettings
from ledger.index.index import Index, Origin
from ledger.index.queries import Selection

__all__ = ["Follower", "FollowerSettings", "Index", "Origin", "Selection"]

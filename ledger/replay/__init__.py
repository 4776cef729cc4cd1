"""Replay: every event again from the first, every decision again, every signature checked.

Source: DESIGN 3.8.
"""

from ledger.replay.engine import Replay, Witness
from ledger.replay.export import (
    TrailError,
    TrailHeader,
    TrailReader,
    open_trail,
    verify_header,
    write_trail,
)
from ledger.replay.journal_check import Journal, JournalEnd, JournalFault, ReleaseEntry, access_id
from ledger.replay.releases import Judged
from ledger.replay.report import End, Finding, Kind, KnownEnd, ReplayReport, Voidable
from ledger.replay.sources import (
    end_at,
    export_trail,
    newest_final,
    read_logs,
    replay_node,
    replay_trail,
)

__all__ = [
    "End",
    "Finding",
    "Journal",
    "JournalEnd",
    "JournalFault",
    "Judged",
    "Kind",
    "KnownEnd",
    "ReleaseEntry",
    "Replay",
    "ReplayReport",
    "TrailError",
    "TrailHeader",
    "TrailReader",
    "Voidable",
    "Witness",
    "access_id",
    "end_at",
    "export_trail",
    "newest_final",
    "open_trail",
    "read_logs",
    "replay_node",
    "replay_trail",
    "verify_header",
    "write_trail",
]

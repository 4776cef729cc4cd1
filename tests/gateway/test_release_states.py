"""What history says of an access: handed out, still open, or never handed out."""

import pytest

from gateway.api.presenters import ReleaseStates
from ledger.index.rows import AccessEntry, Place
from ledger.model import Outcome

ACCESS = b"\x01" * 32
OPEN_FROM = 1_000


def entry(timestamp: int, outcome: Outcome = Outcome.ALLOWED) -> AccessEntry:
    return AccessEntry(
        sequence=1,
        outcome=outcome,
        place=Place(7, bytes(32), timestamp, bytes(32)),
        log_index=0,
        consumer=bytes(20),
        basis=bytes(32),
        item=bytes(32),
        fields=1,
        nonce=1,
        deadline=0,
        kind="authorization",
        dataset=bytes(32),
        subject=bytes(32),
        voided=False,
    )


@pytest.mark.parametrize(
    ("timestamp", "handed_out", "state"),
    [
        (OPEN_FROM, False, "open"),
        (OPEN_FROM - 1, False, "never-handed-out"),
        (OPEN_FROM, True, "handed-out"),
        (OPEN_FROM - 1, True, "handed-out"),
    ],
)
def test_an_allowed_access_is_handed_out_open_or_never_was(
    timestamp: int, handed_out: bool, state: str
) -> None:
    known = frozenset({ACCESS}) if handed_out else frozenset()
    assert ReleaseStates(known, OPEN_FROM).of(ACCESS, entry(timestamp)) == state


def test_of_a_denied_access_nothing_is_said() -> None:
    states = ReleaseStates(frozenset({ACCESS}), OPEN_FROM)
    assert states.of(ACCESS, entry(OPEN_FROM, Outcome.REVOKED)) == ""

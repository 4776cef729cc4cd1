"""A link counts for 30 days at most, by block times, and only until its subject's links are ended."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.links import MAX_LINK_AHEAD, MAX_LINK_LIFETIME, LinkBounds, find_link_fault, make_link
from ledger.model import LinkFault
from ledger.typed_data import SubjectLink

NOW = 1_796_000_000
AUTHORITY, SUCCESSOR, STRANGER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
BOUNDS = LinkBounds((AUTHORITY, SUCCESSOR), links_from=NOW - 100)


def link(issued_at: int, expires_at: int | None = None) -> SubjectLink:
    end = issued_at + MAX_LINK_LIFETIME if expires_at is None else expires_at
    return SubjectLink(b"\x0a" * 32, b"\x0b" * 32, b"\x0c" * 32, issued_at, end)


@pytest.mark.parametrize(
    ("given_link", "signer", "fault"),
    [
        (link(NOW), AUTHORITY, None),
        (link(NOW), SUCCESSOR, None),
        (link(NOW), STRANGER, LinkFault.FOREIGN),
        (link(NOW - 99), AUTHORITY, None),
        (link(NOW - 100), AUTHORITY, LinkFault.ENDED),
        (link(NOW + MAX_LINK_AHEAD), AUTHORITY, None),
        (link(NOW + MAX_LINK_AHEAD + 1), AUTHORITY, LinkFault.AHEAD),
        (link(NOW - 10, NOW + 1), AUTHORITY, None),
        (link(NOW - 10, NOW), AUTHORITY, LinkFault.OVER),
        (link(NOW, NOW + MAX_LINK_LIFETIME + 1), AUTHORITY, LinkFault.TOO_LONG),
        (link(NOW, 2**64 - 1), AUTHORITY, LinkFault.TOO_LONG),
        (link(2**64 - 1, 2**64 - 1), AUTHORITY, LinkFault.AHEAD),
        (link(NOW, NOW - 1), AUTHORITY, LinkFault.OVER),
    ],
)
def test_a_link_counts_within_its_bounds_to_the_second(
    given_link: SubjectLink, signer: bytes, fault: LinkFault | None
) -> None:
    assert find_link_fault(given_link, signer, BOUNDS, NOW) is fault


times = st.integers(0, 2**64 - 1)


@given(issued_at=times, expires_at=times, at=times, links_from=times)
def test_no_times_make_a_link_outlive_30_days_or_its_end(**times: Any) -> None:
    bounds = LinkBounds((AUTHORITY,), times["links_from"])
    written = link(times["issued_at"], times["expires_at"])
    if find_link_fault(written, AUTHORITY, bounds, times["at"]) is None:
        assert times["at"] - MAX_LINK_LIFETIME < written.issued_at <= times["at"] + MAX_LINK_AHEAD
        assert written.issued_at > times["links_from"]


@given(at=st.integers(0, 2**40), links_from=st.integers(0, 2**40))
def test_a_link_that_is_made_counts_at_once_also_in_the_second_of_an_end(
    at: int, links_from: int
) -> None:
    made = make_link(b"\x0a" * 32, b"\x0b" * 32, b"\x0c" * 32, at=at, links_from=links_from)
    assert made.issued_at > links_from
    bounds = LinkBounds((AUTHORITY,), links_from)
    assert find_link_fault(made, AUTHORITY, bounds, max(at, links_from)) is None

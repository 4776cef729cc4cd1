"""Which of a person's subject ids a consumer is led to. Pure."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class KeepFor(StrEnum):
    """What a person keeps a subject id for."""

    ANY = "any"
    """For every consumer that has none of its own: the general id."""
    ONE = "one"
    """For one consumer: the first that looks the person up, from then on for that one only."""
    CONSUMER = "consumer"
    """For the consumer that the person named."""


class SubjectState(StrEnum):
    """How far a subject id has got."""

    WAITING = "waiting"
    """Not sent to the chain yet."""
    SENT = "sent"
    """In a transaction that is not final yet."""
    REGISTERED = "registered"


class SubjectRow(msgspec.Struct, frozen=True):
    """A subject id of a person."""

    subject: bytes
    person: int
    signer: bytes
    """ERC-7913 bytes, as the chain has them."""
    keep_for: KeepFor
    consumer: bytes | None
    """Whom it is kept for, once that is known."""
    state: SubjectState
    closed: bool = False
    """Closed on chain: stolen, and opened by its key and this authority only."""


def choose(subjects: Sequence[SubjectRow], consumer: bytes) -> SubjectRow | None:
    """Return the subject id for a consumer: its own, else a free one, else the general one.

    Two consumers are never given the same id unless it is the general one, so that what they see on
    chain does not show that they have a customer in common.

    Args:
        subjects: The person's, oldest first.
        consumer: Who asks.
    """
    registered = SubjectState.REGISTERED
    usable = [one for one in subjects if one.state is registered and not one.closed]
    preferences = (
        [one for one in usable if one.consumer == consumer],
        [one for one in usable if one.keep_for is KeepFor.ONE and one.consumer is None],
        [one for one in usable if one.keep_for is KeepFor.ANY],
    )
    return next((some[0] for some in preferences if some), None)

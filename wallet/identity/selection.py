"""The choice among a person's subject ids for a consumer. Pure."""

from collections.abc import Sequence

from wallet.identity.people import KeepFor, SubjectRow, SubjectState


def choose(subjects: Sequence[SubjectRow], consumer: bytes) -> SubjectRow | None:
    """Return the subject id for a consumer: its own, else a free one, else the general one.

    Two consumers are never given the same id unless it is the general one, so that what they see on
    chain does not show that they have a customer in common.

    Args:
        subjects: The person's, oldest first.
        consumer: Who asks.
    """
    usable = [row for row in subjects if row.state is SubjectState.REGISTERED and not row.closed]
    preferences = (
        [row for row in usable if row.consumer == consumer],
        [row for row in usable if row.keep_for is KeepFor.ONE and row.consumer is None],
        [row for row in usable if row.keep_for is KeepFor.ANY],
    )
    return next((rows[0] for rows in preferences if rows), None)

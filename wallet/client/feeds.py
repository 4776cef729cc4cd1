"""What a consumer must hear: which of its authorizations ended, halted or go on."""

import msgspec

from wallet.client.calls import HttpCall, nothing, path, reader
from wallet.client.errors import UnexpectedAnswerError
from wallet.client.events import ServerEvent


class Ending(msgspec.Struct, frozen=True):
    """Something that ends or halts authorizations, or lets them go on. Ids are 0x strings."""

    key: int
    name: str
    """Revoked, Confirmed, SubjectFrozen, SubjectUnfrozen, RecoveryStarted, RecoveryVetoed, ..."""
    authorization: str
    """Empty where it is about all of a subject's."""
    subject: str
    block_number: int
    at: int
    transaction: str = ""


class Endings(msgspec.Struct, frozen=True):
    """Some of them, in the order of the chain."""

    revocations: tuple[Ending, ...]
    block_number: int
    """How far the gateway has read."""
    next: int
    """Cursor of what comes after these."""


def revocations(since: int = 0, cursor: int = 0) -> HttpCall[Endings]:
    """Ask what ended or halted authorizations, from a block on."""
    return HttpCall("GET", path("/v1/revocations", since=since, cursor=cursor), reader(Endings))


def follow_revocations(since: int = 0, cursor: int = 0) -> HttpCall[None]:
    """Hear of them as they happen: for `Client.events`, with `read_endings`."""
    return HttpCall("GET", path("/v1/revocations/events", since=since, cursor=cursor), nothing)


def read_endings(event: ServerEvent) -> Endings:
    """Read an event of `follow_revocations`.

    Raises:
        UnexpectedAnswerError: it is none.
    """
    try:
        return msgspec.json.decode(event.data, type=Endings)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"not an event of the protocol: {error}") from error

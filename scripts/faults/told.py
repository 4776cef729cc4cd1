"""Answers to the driver, each with its time: held against the chain afterwards."""

import msgspec

from scripts.scenario import Party, Person


class PlayPlan(msgspec.Struct, frozen=True):
    """Plan of a play.

    Attributes:
        gateway: base address.
        deployment: the deployment file.
        dataset, purpose: that people grant for.
        consumers: who use; each has several requests under way.
        citizens: who grant, revoke and freeze.
        seed: of everything that is drawn and matters for the course of things.
        workers: of each consumer.
        pause: seconds between two requests of a worker, at most.
        patience: seconds to go on with what has no answer yet when the play ends.
    """

    gateway: str
    deployment: bytes
    dataset: bytes
    purpose: bytes
    consumers: tuple[Party, ...]
    citizens: tuple[Person, ...]
    seed: int
    workers: int = 3
    pause: float = 0.15
    patience: float = 90.0


class ToldAccess(msgspec.Struct, frozen=True):
    """One answer to one request: what the gateway says is on chain, and whether it handed out the data.

    Attributes:
        access: id: struct hash of the request.
        basis: the authorization.
        sequence, outcome, transaction: as told.
        released: whether the release was there and opened.
        stopped: whether an act on chain was said to stand against the release, which ends the request.
        first_sent: when the request was sent for the first time; seconds of the machine's monotonic clock.
        answered: when this answer came.
    """

    access: bytes
    basis: bytes
    sequence: int
    outcome: int
    transaction: bytes
    released: bool
    first_sent: float
    answered: float
    stopped: bool = False


class ToldAct(msgspec.Struct, frozen=True):
    """One acknowledged act of a person.

    Attributes:
        kind: `grant`, `revocation`, `freeze` or `end of a freeze`.
        about: the authorization, or the subject.
        transaction: as told.
        began, answered: seconds of the machine's monotonic clock.
    """

    kind: str
    about: bytes
    transaction: bytes
    began: float
    answered: float


class PlayReport(msgspec.Struct, frozen=True):
    """The driver's knowledge at the end.

    Attributes:
        asked: ids of all requests.
        attempts: times that a request was sent, alone or with others.
        accesses, acts: what was told.
        failures: answers that were none, by kind, with how many there were of each.
        unanswered: requests without a final answer, and acts without an end.
        unopened: releases that did not open: why.
        misled: errors that tell a caller to give up, of what worked later.
    """

    asked: tuple[bytes, ...]
    attempts: int
    accesses: tuple[ToldAccess, ...]
    acts: tuple[ToldAct, ...]
    failures: dict[str, int]
    unanswered: int
    unopened: tuple[str, ...]
    misled: tuple[str, ...] = ()


class Sign(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that the driver prints while it plays: an access was served, or something failed.

    Attributes:
        sent: when the request was sent for the first time.
        answered: when it was served.
        failed: what came instead of an answer.
    """

    sent: float = 0.0
    answered: float = 0.0
    failed: str = ""

"""The root of every error that `ledger` raises, and how a command that ends with one exits."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """How a command of `quancheng` ends (docs/cli.md)."""

    DONE = 0
    FAILED = 1
    """Something went wrong that has no code of its own."""
    USAGE = 2
    """The command line is not understood."""
    DENIED = 3
    """An access was denied; the denial is on chain."""
    NOT_VERIFIED = 4
    """What was received is not what it is said to be; or replay found differences."""
    REFUSED = 5
    """A contract or a service refuses: not allowed, not in this state, outside the bounds."""
    NOT_FOUND = 6
    """There is no such thing, or it was erased."""
    BAD_INPUT = 7
    """A file or a value is not as it must be; nothing was sent."""
    TRY_AGAIN = 8
    """A service or the node cannot be reached, or cannot do it now."""
    NO_KEY = 9
    """Keystore, key or password: missing, wrong or damaged."""
    NO_ANSWER = 10
    """A person has not answered yet; or there is nothing to do."""
    IN_USE = 11
    """A port or a data directory is in use."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""


class LedgerError(Exception):
    """Something about the ledger is not as it must be."""

    exit_code: ExitCode = ExitCode.FAILED
    """With which a command ends that nothing else can be done about it."""
    label: str = ""
    """What a command calls it in its JSON, if that is not the class's name."""

    def labelled(self, label: str) -> Self:
        self.label = label
        return self


# Messages of these name places (a field, a subset, a line), never values: what is refused may be
# personal data.


class MalformedError(LedgerError, ValueError):
    """Bytes, text or arguments do not have the form that a specification asks for."""


class SettingError(LedgerError):
    """A setting's text names nothing that there is."""

    exit_code = ExitCode.BAD_INPUT


class CustodyError(LedgerError):
    """What keyholders handed over does not fit together; the message names the subset."""


class SigningError(LedgerError):
    """Something is wrong with a key, a signer or a signature."""

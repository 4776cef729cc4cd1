"""The exceptions of `wallet`: one root, so that a caller can catch everything that comes from here.

Messages name files and entries, never passwords, keys or personal data.
"""

from enum import StrEnum
from typing import Final, Literal

from ledger.errors import ExitCode


class WalletError(Exception):
    """Root of everything that `wallet` raises."""

    exit_code: ExitCode = ExitCode.FAILED
    """With which a command ends that nothing else can be done about it."""


class KeystoreErrorKind(StrEnum):
    """Kinds of `KeystoreError` beside the plain one; the values are the command line's."""

    WRONG_PASSWORD = "WrongPassword"  # noqa: S105 - a name
    INVALID_ENTRY = "InvalidEntry"
    """A name or a secret cannot be stored under what it is said to be."""
    PASSWORD = "Password"  # noqa: S105 - a name
    """No password can be had from where it should come from."""


class KeystoreError(WalletError):
    """A keystore, an entry or its password is missing, wrong or damaged."""

    exit_code = ExitCode.NO_KEY

    def __init__(self, message: str, kind: str = "Keystore") -> None:
        super().__init__(message)
        self.kind = kind


PartyErrorKind = Literal[
    "Authority",
    "Cancelled",
    "Citizen",
    "Consumer",
    "DataInUse",
    "Description",
    "Differences",
    "GrantMismatch",
    "NoSuchEntry",
    "NothingToPublish",
    "PortInUse",
    "ProcessDied",
    "Provider",
    "Quality",
    "Regulator",
    "RootMismatch",
    "Service",
    "Source",
    "Supervisor",
    "TermsMismatch",
]


_CODES: Final[dict[PartyErrorKind, ExitCode]] = {
    "Authority": ExitCode.BAD_INPUT,
    "DataInUse": ExitCode.IN_USE,
    "Description": ExitCode.BAD_INPUT,
    "Differences": ExitCode.NOT_VERIFIED,
    "GrantMismatch": ExitCode.NOT_VERIFIED,
    "NoSuchEntry": ExitCode.NOT_FOUND,
    "NothingToPublish": ExitCode.NO_ANSWER,
    "PortInUse": ExitCode.IN_USE,
    "Quality": ExitCode.BAD_INPUT,
    "RootMismatch": ExitCode.NOT_VERIFIED,
    "Source": ExitCode.BAD_INPUT,
    "TermsMismatch": ExitCode.BAD_INPUT,
}


class PartyError(WalletError):
    """Something that a party does itself does not go on, and nobody tells it from other things by class.

    Args:
        kind: what the command line calls it in its JSON; the exit code comes with it.
        message: for people.
    """

    def __init__(self, kind: PartyErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.exit_code = _CODES.get(kind, ExitCode.FAILED)

    def __reduce__(self) -> tuple[type["PartyError"], tuple[PartyErrorKind, str]]:
        return type(self), (self.kind, str(self))


class InputError(WalletError):
    """A value or a file that was given is not as it must be; nothing was sent."""

    exit_code = ExitCode.BAD_INPUT


class ProposalError(WalletError):
    """What a consumer asks for cannot be granted as it is; the message says why."""

    exit_code = ExitCode.BAD_INPUT


class NotVoidableError(WalletError):
    """A use may not be given back, as far as replay and the journals show."""

    exit_code = ExitCode.REFUSED

"""Exit codes: what a script can tell from how a command ended (docs/cli.md)."""

from enum import IntEnum
from typing import Final

from ledger.deployment import (
    DeploymentError,
    WrongNodeError,
)
from ledger.errors import LedgerError, SettingError
from ledger.evidence import EvidenceCheckError, NoEvidenceError
from ledger.node import NodeError
from ledger.plain_text import PlainTextError
from ledger.replay import TrailError
from ledger.rpc import RpcError
from ledger.statement import StatementError
from wallet.authority.errors import AuthorityError
from wallet.citizen.errors import ProposalError
from wallet.cli.errors import DifferencesError, InputError
from wallet.client import errors as client
from wallet.consumer.errors import GrantMismatchError
from wallet.errors import KeystoreError, PasswordError, WalletError
from wallet.provider.errors import NothingToPublishError, RootMismatchError, SourceError
from wallet.provider.quality import QualityError
from wallet.regulator.errors import NoSuchEntryError, NotVoidableError
from wallet.supervisor import InUseError


class ExitCode(IntEnum):
    """How a command ended."""

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


# The first kind that an error is counts.
_CODES: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (client.DeniedError, ExitCode.DENIED),
    (client.VerificationError, ExitCode.NOT_VERIFIED),
    (client.ForeignTextError, ExitCode.NOT_VERIFIED),
    (GrantMismatchError, ExitCode.NOT_VERIFIED),
    (RootMismatchError, ExitCode.NOT_VERIFIED),
    (DifferencesError, ExitCode.NOT_VERIFIED),
    (TrailError, ExitCode.NOT_VERIFIED),
    (EvidenceCheckError, ExitCode.NOT_VERIFIED),
    (NoEvidenceError, ExitCode.NOT_FOUND),
    (NoSuchEntryError, ExitCode.NOT_FOUND),
    (NotVoidableError, ExitCode.REFUSED),
    (WrongNodeError, ExitCode.NOT_VERIFIED),
    (client.NotFoundError, ExitCode.NOT_FOUND),
    (client.ErasedError, ExitCode.NOT_FOUND),
    (client.AnotherUseError, ExitCode.REFUSED),
    (client.UnknownNameError, ExitCode.NOT_FOUND),
    (client.NotFoundHereError, ExitCode.NOT_FOUND),
    (client.UnavailableError, ExitCode.TRY_AGAIN),
    (client.ThrottledError, ExitCode.TRY_AGAIN),
    (client.UnreachableError, ExitCode.TRY_AGAIN),
    (client.NodeError, ExitCode.TRY_AGAIN),
    (RpcError, ExitCode.TRY_AGAIN),
    (client.AmbiguousNameError, ExitCode.BAD_INPUT),
    (client.InvalidError, ExitCode.BAD_INPUT),
    (client.TooLargeError, ExitCode.BAD_INPUT),
    (client.ServerError, ExitCode.FAILED),
    (client.ProblemError, ExitCode.REFUSED),
    (client.RefusedError, ExitCode.REFUSED),
    (client.MissingKeyError, ExitCode.NO_KEY),
    (client.NotAnsweredError, ExitCode.NO_ANSWER),
    (NothingToPublishError, ExitCode.NO_ANSWER),
    (KeystoreError, ExitCode.NO_KEY),
    (PasswordError, ExitCode.NO_KEY),
    (InUseError, ExitCode.IN_USE),
    (DeploymentError, ExitCode.BAD_INPUT),
    (QualityError, ExitCode.BAD_INPUT),
    (SourceError, ExitCode.BAD_INPUT),
    (AuthorityError, ExitCode.BAD_INPUT),
    (ProposalError, ExitCode.BAD_INPUT),
    (InputError, ExitCode.BAD_INPUT),
    (SettingError, ExitCode.BAD_INPUT),
    (PlainTextError, ExitCode.BAD_INPUT),
    (StatementError, ExitCode.BAD_INPUT),
    (WalletError, ExitCode.FAILED),
    (LedgerError, ExitCode.FAILED),
)


def exit_code(error: Exception) -> ExitCode:
    """Return the code with which a command that failed ends."""
    if isinstance(error, NodeError) and error.kind:
        return ExitCode.IN_USE
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED

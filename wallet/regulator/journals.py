"""Release journals, as gateways and keyholders hand them over, for replay to compare with the chain.

A gateway's journal comes over HTTP as NDJSON (`GET /v1/journal`), one line for each access:

    {"access":"0x..","sequence":7,"outcome":0,"request":{..},"signature":"0x..","transaction":"0x..",
     "released":{..}|null, ...}

A keyholder's is its own file `releases.ndjson`: {"kind":"release","access":"0x..","sequence":7,...,"head":"0x.."};
each line's head is checked. Both are read twice at most, line by line.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ledger.errors import LedgerError
from ledger.evidence import Documents
from ledger.exchange import Submission
from ledger.hexes import from_hex
from ledger.replay import ReleaseEntry
from ledger.signing import SIGNATURE_LENGTH
from ledger.typed_data import AccessRequest, record_from_object, struct_hash
from wallet.client.patience import patiently
from wallet.client.steps import Steps
from wallet.client.supervision import release_journal
from wallet.heads import FIRST_HEAD, HeadError, verify_line
from wallet.regulator.errors import ChangedJournalError, JournalFileError

Entry = TypeVar("Entry")


class _GatewayLine(msgspec.Struct):
    access: str
    sequence: int
    request: dict[str, Any]
    signature: str
    transaction: str
    released: dict[str, Any] | None = None


class _KeyholderLine(msgspec.Struct):
    kind: str
    access: str = ""
    sequence: int = 0


_gateway_lines = msgspec.json.Decoder(_GatewayLine)
_keyholder_lines = msgspec.json.Decoder(_KeyholderLine)


class GatewayJournal:
    """A gateway's journal in a file.

    Args:
        path: as `fetch_journal` wrote it.
        name: whose it is.
    """

    def __init__(self, path: Path, name: str = "gateway") -> None:
        self._path = path
        self.name = name

    def entries(self) -> Iterable[ReleaseEntry]:
        """Yield all entries.

        Raises:
            JournalFileError: a line is none.
        """
        return _entries(self._path, _gateway_entry)


class KeyholderJournal:
    """A keyholder's journal in a file; what it says of subkeys for providers is passed over.

    Releases of one access that were repeated count once. A part of a line at the end, which a crash or
    copying a journal in use leaves, is passed over: what it tells of has not left yet.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name

    def entries(self) -> Iterable[ReleaseEntry]:
        """Return all entries by sequence number; a keyholder notes them as they come.

        Raises:
            JournalFileError: a line is none.
            ChangedJournalError: a line does not follow the one before.
        """
        found = {one.access: one for one in _entries(self._path, _KeyholderReader())}
        return sorted(found.values(), key=lambda entry: entry.sequence)


def fetch_journal(path: Path) -> Steps[int]:
    """Fetch a gateway's whole journal into a file; return the number of its lines.

    Raises:
        JournalFileError: the file cannot be written, or what came is no journal.
        ClientError: the gateway does not answer, or refuses.
    """
    start = count = 0
    try:
        with path.open("wb") as file:
            while True:
                body = yield from patiently(release_journal(start))
                lines = body.splitlines()
                if not lines:
                    return count
                file.write(body)
                count += len(lines)
                start = _gateway_lines.decode(lines[-1]).sequence + 1
    except OSError as error:
        raise JournalFileError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise JournalFileError(f"the gateway's journal: {error}") from error


def documents_in(path: Path, access: bytes | int) -> Iterator[Documents]:
    """Yield what evidence takes from the lines of a gateway's journal about an access.

    Args:
        path: The journal, as `fetch_journal` wrote it.
        access: Its id, or its number.

    Raises:
        JournalFileError: a line is none.
    """

    def read(line: bytes) -> Documents | None:
        found = _gateway_lines.decode(line)
        name = found.sequence if isinstance(access, int) else from_hex(found.access, 32)
        if name != access:
            return None
        request = record_from_object(AccessRequest, found.request)
        submission = Submission(request, from_hex(found.signature, SIGNATURE_LENGTH))
        return Documents(submission, from_hex(found.transaction, 32), found.sequence)

    return _entries(path, read)


def _entries(path: Path, read: Callable[[bytes], Entry | None]) -> Iterator[Entry]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = read(line)
                except HeadError as error:
                    raise ChangedJournalError(f"{path}, line {number}: {error}") from error
                except (msgspec.MsgspecError, LedgerError, UnicodeDecodeError) as error:
                    raise JournalFileError(f"{path}, line {number}: {error}") from error
                if entry is not None:
                    yield entry
    except OSError as error:
        raise JournalFileError(f"{path}: {error.strerror}") from error


def _gateway_entry(line: bytes) -> ReleaseEntry:
    found = _gateway_lines.decode(line)
    request = record_from_object(AccessRequest, found.request)
    if struct_hash(request) != from_hex(found.access, 32):
        raise JournalFileError(f"access {found.sequence} is not the hash of its request")
    return ReleaseEntry(
        access=from_hex(found.access, 32),
        sequence=found.sequence,
        transaction=from_hex(found.transaction, 32),
        signature=from_hex(found.signature),
        released=found.released is not None,
    )


class _KeyholderReader:
    """Reads line after line, and checks that they follow each other."""

    def __init__(self) -> None:
        self._head = FIRST_HEAD

    def __call__(self, line: bytes) -> ReleaseEntry | None:
        if not line.endswith(b"\n"):
            return None
        body, self._head = verify_line(line, self._head)
        found = _keyholder_lines.decode(body)
        if found.kind != "release":
            return None
        return ReleaseEntry(from_hex(found.access, 32), found.sequence, None, None, released=True)

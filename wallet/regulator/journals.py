"""Release journals, as gateways and keyholders hand them over, for replay to compare with the chain.

A gateway's journal comes over HTTP, one line for each access (`ledger.api.journal`). A keyholder's journal is its
own file `releases.ndjson`, of which each line's head is checked:

    {"kind":"release","access":"0x..","sequence":7,...,"signature":"0x..",...,"key":"0x..",...,"head":"0x.."}
    {"kind":"noted",...,"block":812,"block_hash":"0x..","head":"0x.."}

Whoever wrote a journal may have an interest that it cannot be compared: a line that is none, or not in its
place, is a fault that the replay reports, and the others count.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ledger.api import Submission
from ledger.api.journal import EndLine, JournalLine, Number
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.errors import LedgerError
from ledger.evidence.builder import Documents
from ledger.hexstr import ADDRESS_LENGTH, from_hex
from ledger.replay.journal_check import Item, JournalEnd, JournalFault, ReleaseEntry
from ledger.replay.releases import Judged
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    record_from_object,
    struct_hash,
)
from wallet.client.retry import with_retries
from wallet.client.supervision import release_journal
from wallet.errors import PartyError, WalletError
from wallet.hash_chain import FIRST_HEAD, split_head, with_head


class _KeyholderLine(msgspec.Struct):
    kind: str
    at: int = 0
    access: str = ""
    sequence: int = 0
    signature: str = ""
    block: int = -1
    block_hash: str = ""
    key: str = ""
    epochs: tuple[int, ...] = ()


class _Numbered(msgspec.Struct):
    sequence: Number


_gateway_lines: Final = msgspec.json.Decoder(JournalLine)
_keyholder_lines: Final = msgspec.json.Decoder(_KeyholderLine)
_ends: Final = msgspec.json.Decoder(EndLine)
_END: Final = b'{"kind":"end",'
_sequences: Final = msgspec.json.Decoder(_Numbered)

_NO_ENTRY: Final = (msgspec.MsgspecError, LedgerError, ValueError, RecursionError)
"""What reading somebody else's line may raise."""
_MAX_LINE: Final = 1 << 24
"""Bytes of a line that are read at once."""

_Line = tuple[int, ReleaseEntry | JournalEnd | str | None]
"""Number of a line; its entry or how far it says that the journal goes, or what is wrong with it, or nothing that concerns an access."""


class GatewayJournal:
    """A gateway's journal in a file.

    Args:
        path: as `fetch_journal` wrote it.
        name: what it is called in findings.
        owner: the gateway's recorder; without it that which the last line names, if there is one.
    """

    of_keyholder = False

    def __init__(self, path: Path, name: str = "gateway", owner: bytes | None = None) -> None:
        self._path = path
        self.name = name
        self.owner = owner

    def entries(self) -> Iterator[Item]:
        """Yield how far it goes, all entries by sequence number, and the faults.

        Raises:
            PartyError: the file cannot be read.
        """
        return _items(_gateway_lines_of(self._path))


class KeyholderJournal:
    """A keyholder's journal in a file; what it says of subkeys for providers is passed over.

    A part of a line at the end, which a crash or
    copying a journal in use leaves, is passed over: what it tells of has not left yet.

    Args:
        path: the keyholder's file.
        name: what it is called in findings.
        owner: the keyholder; without it the file shows no silence and no part in a release.
    """

    of_keyholder = True

    def __init__(self, path: Path, name: str, owner: bytes | None = None) -> None:
        self._path = path
        self.name = name
        self.owner = owner

    def entries(self) -> Iterator[Item]:
        """Yield the faults, how far it goes, and all entries by sequence number, not as they came.

        Raises:
            PartyError: the file cannot be read.
        """
        releases: list[ReleaseEntry] = []
        end: JournalEnd | None = None
        for entry in _items(_keyholder_lines_of(self._path)):
            if isinstance(entry, ReleaseEntry):
                releases.append(entry)
            elif isinstance(entry, JournalFault):
                yield entry
            elif end is None or entry.block > end.block:
                end = entry
        if end is not None:
            yield end
        yield from sorted(releases, key=lambda entry: entry.sequence)


async def fetch_journal(path: Path) -> int:
    """Fetch a gateway's whole journal into a file; return the number of its lines.

    Raises:
        PartyError: the file cannot be written.
        ClientError: the gateway does not answer, or refuses.
    """
    start = count = 0
    try:
        with path.open("wb") as file:
            while True:
                body = await with_retries(release_journal(start))
                lines = body.splitlines()
                if not lines:
                    return count
                file.write(body)
                if lines[-1].startswith(_END):
                    return count + len(lines) - 1
                count += len(lines)
                newest = max(_sequence(line) or 0 for line in lines)
                if newest < start:
                    return count  # nothing later can be asked for; replay says what is wrong
                start = newest + 1
    except OSError as error:
        raise PartyError("Regulator", f"{path}: {error.strerror}") from error


def documents_in(path: Path, access: bytes | int) -> Iterator[Documents]:
    """Yield what evidence takes from the lines of a gateway's journal about an access, by its id or number."""
    with _opened(path) as file:
        for _, _, line in _lines(file):
            with suppress(*_NO_ENTRY):
                read = _gateway_lines.decode(line)
                name = read.sequence if isinstance(access, int) else from_hex(read.access, 32)
                if name == access:
                    request = record_from_object(AccessRequest, read.request)
                    submission = Submission(request, from_hex(read.signature, SIGNATURE_LENGTH))
                    yield Documents(submission, from_hex(read.transaction, 32), read.sequence)


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield the lines of a file: number, offset, the line. Of one that is too long, the pieces."""
    number = offset = 0
    while line := file.readline(_MAX_LINE):
        number += 1
        yield number, offset, line
        offset += len(line)


def _items(lines: Iterator[_Line]) -> Iterator[Item]:
    """Yield entries, and faults: those of lines that follow each other as one."""
    first = last = 0
    problem = ""
    for number, content in lines:
        if isinstance(content, str) and problem and number == last + 1:
            last = number
            continue
        if problem:
            yield _fault(first, last, problem)
            problem = ""
        if isinstance(content, str):
            first, last, problem = number, number, content
        elif content is not None:
            yield content
    if problem:
        yield _fault(first, last, problem)


def _fault(first: int, last: int, problem: str) -> JournalFault:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    return JournalFault(f"{where}: {problem}")


def _gateway_lines_of(path: Path) -> Iterator[_Line]:
    """Yield a gateway's entries by rising sequence number, whatever their order in the file."""
    with _opened(path) as file:
        first, count, end = _misplaced(file)
        if end is not None:
            yield 0, end
        if count:
            yield first, f"it comes after a later access; {count} lines do"
        file.seek(0)
        for number, _, line in _sorted_lines(file) if count else _lines(file):
            try:
                if line.startswith(_END):
                    _gateway_end(line)
                else:
                    yield number, _gateway_entry(line)
            except _NO_ENTRY as error:
                yield number, f"no entry: {error}"


def _misplaced(file: BinaryIO) -> tuple[int, int, JournalEnd | None]:
    """Return the first line that comes after one of a later access, how many do, and how far it goes."""
    first = count = last = 0
    end: JournalEnd | None = None
    for number, _, line in _lines(file):
        if line.startswith(_END):
            with suppress(*_NO_ENTRY):
                end = _gateway_end(line)
        sequence = _sequence(line)
        if sequence is not None and sequence < last:
            first, count = first or number, count + 1
        last = max(last, sequence or 0)
    return first, count, end


def _sorted_lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield the lines of a file by the number of their access; what has none where it stands."""
    places, last = [], 0
    for number, offset, line in _lines(file):
        sequence = _sequence(line)
        last = last if sequence is None else sequence
        places.append((last, number, offset))
    for _, number, offset in sorted(places):
        file.seek(offset)
        yield number, offset, file.readline(_MAX_LINE)


def _sequence(line: bytes) -> int | None:
    try:
        return _sequences.decode(line).sequence
    except _NO_ENTRY:
        return None


def _gateway_end(line: bytes) -> JournalEnd:
    read = _ends.decode(line)
    hash_, recorder = from_hex(read.block_hash, 32), from_hex(read.recorder, ADDRESS_LENGTH)
    return JournalEnd(read.block, hash_, recorder)


def _gateway_entry(line: bytes) -> ReleaseEntry:
    read = _gateway_lines.decode(line)
    request = record_from_object(AccessRequest, read.request)
    if struct_hash(request) != from_hex(read.access, 32):
        raise PartyError("Regulator", f"access {read.sequence} is not the hash of its request")
    return ReleaseEntry(
        access=from_hex(read.access, 32),
        sequence=read.sequence,
        transaction=from_hex(read.transaction, 32),
        signature=from_hex(read.signature),
        released=read.released is not None,
        key=None if read.released is None else from_hex(read.released.key),
        authorization=None
        if isinstance(read.authorization, msgspec.UnsetType)
        else record_from_object(Authorization, read.authorization),
    )


def _keyholder_lines_of(path: Path) -> Iterator[_Line]:
    """Yield a keyholder's releases, and the lines that do not follow the one before.

    After such a line the head that it states is taken over, so that one change is told once.
    """
    head: bytes | None = FIRST_HEAD
    with _opened(path) as file:
        for number, _, line in _lines(file):
            if not line.endswith(b"\n") and len(line) < _MAX_LINE:
                return
            try:
                body, stated = split_head(line)
                if head is not None and with_head(body, head) != (line, stated):
                    yield number, "it does not follow the line before"
                head = stated
                yield number, _keyholder_entry(body)
            except WalletError as error:
                head = None
                yield number, str(error)
            except _NO_ENTRY as error:
                yield number, f"no entry: {error}"


def _keyholder_entry(body: bytes) -> ReleaseEntry | JournalEnd | None:
    read = _keyholder_lines.decode(body)
    if read.kind == "noted":
        return JournalEnd(read.block, from_hex(read.block_hash, 32))
    if read.kind != "release":
        return None
    judged = Judged(read.at, read.block, from_hex(read.block_hash, 32))
    return ReleaseEntry(
        access=from_hex(read.access, 32),
        sequence=read.sequence,
        transaction=None,
        signature=from_hex(read.signature, SIGNATURE_LENGTH),
        released=True,
        judged=judged,
        key=from_hex(read.key),
        epochs=read.epochs,
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise PartyError("Regulator", f"{path}: {error.strerror}") from error

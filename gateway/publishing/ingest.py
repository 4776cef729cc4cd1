"""From lines of an upload to what is stored: checked, committed to, packed. Pure.

The gateway recomputes header leaf, record root and place of every record from the line itself, so what it
serves is what the root says. It cannot recompute a field's leaf, whose salt it does not know.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.errors import ProblemError, StoreDamagedError
from gateway.publishing.tiles import PLACE, pack_entry, pack_withdrawal
from gateway.store.uploads import MAX_LINES, Chunk, Item, Upload, record_id
from ledger.crypto.publications import PublicationEntry
from ledger.crypto.records import EncryptedRecord, WithdrawnRecord, decode_line
from ledger.errors import MalformedError
from ledger.jsonio import UNREADABLE
from ledger.service.errors import body_too_large

_HASH: Final = 32


class UploadRules(msgspec.Struct, frozen=True):
    """What the lines of an upload must keep to."""

    fields: int
    """Fields of the dataset."""
    personal: bool
    """Whether the dataset is; only other ones are looked up by item alone."""
    is_delta: bool
    """Whether records may be withdrawn."""
    epochs: frozenset[int]
    """Of the rosters in the deployment file: what is encrypted in another one could be recorded and never released."""


class _Body(msgspec.Struct, frozen=True, array_like=True):
    """What is stored of a record beside its entry."""

    epoch: int
    salt: bytes
    ciphertexts: tuple[bytes, ...]
    leaves: bytes


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Body)


def pack_body(record: EncryptedRecord) -> bytes:
    """Write down what a record has beside its entry: epoch, salt, ciphertexts, leaves."""
    leaves = b"".join(record.leaves)
    return _encoder.encode((record.epoch, record.salt, record.ciphertexts, leaves))


def unpack_body(entry: PublicationEntry, body: bytes) -> EncryptedRecord:
    """Return the record that was packed.

    Raises:
        StoreDamagedError: The bytes are not what `pack_body` wrote.
    """
    try:
        found = _decoder.decode(body)
        return EncryptedRecord(
            owner=entry.owner,
            number=entry.number,
            epoch=found.epoch,
            salt=found.salt,
            ciphertexts=found.ciphertexts,
            leaves=tuple(
                found.leaves[at : at + _HASH] for at in range(0, len(found.leaves), _HASH)
            ),
        )
    except (*UNREADABLE, MalformedError) as error:
        raise StoreDamagedError("a stored record cannot be read") from error


def parse_lines(upload: Upload, rules: UploadRules, start: int, lines: Sequence[bytes]) -> Chunk:
    """Check lines and make them ready to be stored.

    Args:
        upload: As it stands before these lines, `last_place` included.
        rules: What the lines must keep to.
        start: Number of the first line, from 0.
        lines: Without newlines.

    Raises:
        ProblemError: A line is not a record or a withdrawal, or comes out of order.
    """
    if start + len(lines) > MAX_LINES:
        raise _problem(MAX_LINES + 1, f"an upload has at most {MAX_LINES} lines")
    entries, bodies, items = [], [], []
    last = upload.last_place
    for at, line in enumerate(lines, start):
        try:
            packed, record = _parse(line, rules, record_id(upload, at))
        except MalformedError as error:
            raise _problem(at + 1, str(error)) from error
        if packed[:PLACE] <= last:
            raise _problem(at + 1, "not after the line before, by owner and number")
        last = packed[:PLACE]
        entries.append(packed)
        if record is None:
            continue
        bodies.append((record_id(upload, at), pack_body(record)))
        if not rules.personal:
            items.append(Item(packed[PLACE : PLACE + _HASH], last))
    return Chunk(len(lines), b"".join(entries), tuple(bodies), tuple(items))


def _parse(
    line: bytes, rules: UploadRules, record_key: int
) -> tuple[bytes, EncryptedRecord | None]:
    found = decode_line(line)
    if isinstance(found, WithdrawnRecord):
        if not rules.is_delta:
            raise MalformedError("only an upload on a base can withdraw a record")
        return pack_withdrawal(found.owner, found.number), None
    if len(found.leaves) != rules.fields:
        raise MalformedError(f"{len(found.leaves)} fields, the dataset has {rules.fields}")
    if found.epoch not in rules.epochs:
        raise MalformedError(f"the deployment file has no keyholders of epoch {found.epoch}")
    return pack_entry(found.entry(), record_key), found


def _problem(line: int, problem: str) -> ProblemError:
    """Say what is wrong with a line, counted from 1 over the whole upload."""
    return ProblemError(f"line {line}: {problem}", "malformed-line", line=line)


class LineSplitter:
    def __init__(self, most_bytes: int) -> None:
        self._rest = b""
        self._most = most_bytes

    def add(self, data: bytes) -> list[bytes]:
        """Take over bytes; return the lines that are whole now.

        Raises:
            BodyError: A line is too long.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._most or any(len(line) > self._most for line in lines):
            raise body_too_large(self._most, "a line")
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line if it has no newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

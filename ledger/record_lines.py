"""Records as lines of JSON: what a provider uploads, a gateway stores, a consumer gets.

Exact bytes, reasons and vectors: docs/spec/records.md.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

import msgspec

from ledger.decode_errors import UNREADABLE
from ledger.encoding import FORMAT, SIZE
from ledger.errors import MalformedError
from ledger.hexes import to_hex
from ledger.records import EncryptedRecord, WithdrawnRecord


class _Line(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A record as JSON. A field that was not granted is null, which only an excerpt may have."""

    v: Literal[1]
    owner: str
    number: int
    epoch: int
    salt: str
    fields: tuple[bytes | None, ...]
    leaves: tuple[str, ...]


class _WithdrawnLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A withdrawn record as JSON."""

    v: Literal[1]
    owner: str
    number: int
    withdrawn: Literal[True]


_lines = msgspec.json.Decoder(_Line)
_withdrawn_lines = msgspec.json.Decoder(_WithdrawnLine)
_encoder = msgspec.json.Encoder()


def encode_line(record: EncryptedRecord | WithdrawnRecord) -> bytes:
    """Write a record, an excerpt or a withdrawal as one line of NDJSON, newline included."""
    owner = to_hex(record.owner)
    if isinstance(record, WithdrawnRecord):
        return _encoder.encode(_WithdrawnLine(FORMAT, owner, record.number, True)) + b"\n"
    leaves = tuple([to_hex(leaf) for leaf in record.leaves])
    salt, fields = to_hex(record.salt), record.ciphertexts
    line = _Line(FORMAT, owner, record.number, record.epoch, salt, fields, leaves)
    return _encoder.encode(line) + b"\n"


def decode_line(line: bytes) -> EncryptedRecord | WithdrawnRecord:
    """Read one line of what a provider uploads.

    Raises:
        MalformedError: It is not exactly a record or a withdrawal. The message says where, and
            shows no value.
    """
    # No string in a record's line can hold this word, so it decides which of the two it must be.
    if b'"withdrawn"' in line:
        withdrawn = _parse(_withdrawn_lines, line)
        return WithdrawnRecord(_hash("owner", withdrawn.owner), withdrawn.number)
    record = decode_excerpt(line)
    if None in record.ciphertexts:
        raise MalformedError("a field is null")
    return record


def decode_excerpt(line: bytes) -> EncryptedRecord:
    """Read one record as a consumer gets it, where fields that were not granted are null. Raises as `decode_line`."""
    record = _parse(_lines, line)
    leaves = tuple([_hash(f"leaves[{at}]", leaf) for at, leaf in enumerate(record.leaves)])
    owner, salt = _hash("owner", record.owner), _hash("salt", record.salt)
    return EncryptedRecord(owner, record.number, record.epoch, salt, record.fields, leaves)


def decode_lines(lines: Iterable[bytes]) -> Iterator[EncryptedRecord | WithdrawnRecord]:
    """Read an upload line by line. Raises as `decode_line`; the message says which line, counted from 1."""
    for count, line in enumerate(lines, 1):
        try:
            yield decode_line(line)
        except MalformedError as error:
            raise MalformedError(f"line {count}: {error}") from error


_Found = TypeVar("_Found", _Line, _WithdrawnLine)


def _parse(decoder: "msgspec.json.Decoder[_Found]", line: bytes) -> _Found:
    try:
        return decoder.decode(line)
    except UNREADABLE as error:
        raise MalformedError(str(error)) from error


def _hash(name: str, text: str) -> bytes:
    """Read 32 bytes from their one text form: 0x and 64 lowercase digits."""
    try:
        data = bytes.fromhex(text[2:])
    except ValueError:
        data = b""
    if len(data) != SIZE or to_hex(data) != text:
        raise MalformedError(f"{name} is not 0x and {2 * SIZE} lowercase hexadecimal digits")
    return data

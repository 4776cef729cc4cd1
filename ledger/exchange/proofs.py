"""Proofs of a publication as JSON, and what the other messages share.

{"kind": "owner", "start": 7, "size": 90, "entries": [{"owner", "number", "root"}...], "hashes": [...]}
{"kind": "range", "start": 7, "end": 8, "size": 90, "hashes": [...]}
"""

from typing import Final, TypeVar

import msgspec

from ledger.decode_errors import UNREADABLE
from ledger.errors import LedgerError, MalformedError
from ledger.exchange.types import PublicationProof
from ledger.hexes import from_hex, to_hex
from ledger.merkle import RangeProof
from ledger.publications import OwnerProof, PublicationEntry
from ledger.strict_json import JsonError, check_depth

HASH: Final = 32

encoder: Final = msgspec.json.Encoder()

Parsed = TypeVar("Parsed")


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One record as a publication commits to it."""

    owner: str
    number: int
    root: str


class OwnerMessage(msgspec.Struct, tag_field="kind", tag="owner", forbid_unknown_fields=True):
    """All records of one owner, with their neighbours."""

    start: int
    size: int
    entries: list[Entry]
    hashes: list[str]


class RangeMessage(msgspec.Struct, tag_field="kind", tag="range", forbid_unknown_fields=True):
    """Records next to each other."""

    start: int
    end: int
    size: int
    hashes: list[str]


_proofs = msgspec.json.Decoder(OwnerMessage | RangeMessage)


def encode_proof(proof: PublicationProof) -> bytes:
    """Write a proof as JSON."""
    hashes = [to_hex(each) for each in proof.hashes]
    if isinstance(proof, RangeProof):
        return encoder.encode(RangeMessage(proof.start, proof.end, proof.size, hashes))
    entries = [Entry(to_hex(one.owner), one.number, to_hex(one.root)) for one in proof.entries]
    return encoder.encode(OwnerMessage(proof.start, proof.size, entries, hashes))


def decode_proof(data: bytes) -> PublicationProof:
    """Read a proof.

    Raises:
        MalformedError: Not of this form.
    """
    return proof_of(parse(_proofs, data))


def proof_of(message: OwnerMessage | RangeMessage) -> PublicationProof:
    """Return the proof that a parsed message stands for.

    Raises:
        MalformedError: A hash or an entry does not have its form.
    """
    try:
        hashes = tuple([from_hex(each, HASH) for each in message.hashes])
        if isinstance(message, RangeMessage):
            return RangeProof(message.start, message.end, message.size, hashes)
        entries = [
            PublicationEntry(from_hex(one.owner, HASH), one.number, from_hex(one.root, HASH))
            for one in message.entries
        ]
    except LedgerError as error:
        raise MalformedError(f"the proof: {error}") from error
    return OwnerProof(message.start, message.size, tuple(entries), hashes)


def parse(decoder: "msgspec.json.Decoder[Parsed]", data: bytes | msgspec.Raw) -> Parsed:
    """Decode JSON of a known form.

    Raises:
        MalformedError: It has another form.
    """
    try:
        if isinstance(data, bytes):  # what is raw was part of such
            check_depth(data)
        return decoder.decode(data)
    except (JsonError, *UNREADABLE) as error:
        raise MalformedError(f"not of the form that is asked for: {error}") from error

"""What a keyholder signs of the parts that it released, so that wrong ones can be shown without showing any part.

A statement has, for each seed that a keyholder knows, the hash of the parts that it made with it for one
request. Right parts of one seed are the same from everybody in its subset, so statements can be compared: who
disagrees with more others than may be wrong (n-k) is wrong itself. The hashes tell nothing of the parts,
which nobody can guess.

A keyholder signs once for each answer and key: the root of a Merkle tree over the statements of all requests
that it answers then to this key. Source: docs/spec/custody.md.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from ledger.custody import Bytes32, Epoch, HolderParts, Release, Subset
from ledger.encoding import FORMAT, SIZE, label, prefixed, u32, u64
from ledger.errors import UNREADABLE, MalformedError, ProofError
from ledger.hexes import ADDRESS_LENGTH, to_hex
from ledger.merkle import InclusionProof, MerkleTree, TreeHead, leaf_hash, verify_inclusion
from ledger.rosters import Roster
from ledger.signing import (
    SIGNATURE_LENGTH,
    SigningError,
    personal_digest,
    sign,
    verify_signature,
)

_MOST_BYTES: Final = 512 * 1024
_WORD: Final = 4

Address = Annotated[bytes, msgspec.Meta(min_length=ADDRESS_LENGTH, max_length=ADDRESS_LENGTH)]


class SubsetHash(msgspec.Struct, frozen=True, array_like=True):
    """The hash of the parts that were made with one seed, of all records of its epoch."""

    epoch: Epoch
    subset: Subset
    hash: Bytes32


class PartsStatement(msgspec.Struct, frozen=True, array_like=True):
    """What a keyholder says that it released for one request."""

    request: Bytes32
    """Digest of the `AccessRequest`."""
    about: Bytes32
    """Hash of which records and fields these are. Statements about others cannot be compared."""
    hashes: tuple[SubsetHash, ...]

    def leaf(self) -> bytes:
        """Return what stands for this in the tree that is signed."""
        hashes = [u32(one.epoch) + _packed(one.subset) + one.hash for one in self.hashes]
        return leaf_hash(
            label("parts-statement")
            + self.request
            + self.about
            + u32(len(hashes))
            + b"".join(hashes)
        )


class SignedStatement(msgspec.Struct, frozen=True, array_like=True):
    """A keyholder's statement, and what shows that it signed it."""

    holder: Address
    statement: PartsStatement
    signed: bytes
    """From `sign_statements`."""


class WrongParts(msgspec.Struct, frozen=True, array_like=True, tag="wrong-parts"):
    """Statements of several keyholders about one request, which show that one of them gave wrong parts."""

    holder: Address
    """Whose parts are said to be wrong."""
    statements: tuple[SignedStatement, ...]


def state_parts(request: bytes, release: Release) -> PartsStatement:
    """Return what is signed of a release.

    Args:
        request: Digest of the `AccessRequest`, 32 bytes.
        release: The parts.

    Raises:
        MalformedError: A number in it does not fit.
    """
    about, made = sha256(label("parts-about")), dict[tuple[int, Subset], list[bytes]]()
    for parts in release.records:
        about.update(_about(parts))
        for share in parts.shares:
            made.setdefault((parts.epoch, share.subset), []).append(prefixed(share.secret))
    known = about.digest()
    begin = label("parts") + request + known
    return PartsStatement(
        request,
        known,
        tuple(
            [
                SubsetHash(
                    epoch,
                    subset,
                    sha256(begin + u32(epoch) + _packed(subset) + b"".join(parts)).digest(),
                )
                for (epoch, subset), parts in sorted(made.items())
            ]
        ),
    )


def sign_statements(statements: Sequence[PartsStatement], account: bytes) -> list[bytes]:
    """Sign statements at once: for each the signature, the tree's head, and the way from statement to root.

    Args:
        statements: All for one key in one answer.
        account: The keyholder's private key.
    """
    if not statements:
        return []
    tree = MerkleTree.of([statement.leaf() for statement in statements])
    head = tree.head()
    signature = sign(_digest(head), account)
    begin = signature + head.root
    return [
        begin + u32(place) + u32(head.size) + b"".join(tree.prove_inclusion(place).hashes)
        for place in range(head.size)
    ]


def verify_statement(one: SignedStatement) -> None:
    """Check that a keyholder signed a statement.

    Raises:
        MalformedError: `signed` does not have its form.
        ProofError: The statement is not below the root, or somebody else signed it.
    """
    signature, rest = one.signed[:SIGNATURE_LENGTH], one.signed[SIGNATURE_LENGTH:]
    root, numbers, path = rest[:SIZE], rest[SIZE : SIZE + 2 * _WORD], rest[SIZE + 2 * _WORD :]
    if len(numbers) != 2 * _WORD or len(path) % SIZE:
        raise MalformedError("not the signature of a statement")
    index, size = (int.from_bytes(numbers[at : at + _WORD], "big") for at in (0, _WORD))
    hashes = tuple([path[at : at + SIZE] for at in range(0, len(path), SIZE)])
    head = TreeHead(size, root)
    verify_inclusion(one.statement.leaf(), InclusionProof(index, size, hashes), head)
    if not _is_signed(head, signature, one.holder):
        raise ProofError(f"{to_hex(one.holder)} did not sign the statement's root")


def verify_wrong_parts(wrong: WrongParts, rosters: Iterable[Roster]) -> None:
    """Check that somebody's parts were wrong, whoever says so.

    Raises:
        ProofError: It does not follow: the statements are about different parts, or it does not
            disagree with more than may be wrong themselves, or a statement is not its keyholder's.
        MalformedError: `signed` of a statement does not have its form.
    """
    told = {one.holder: one.statement for one in wrong.statements}
    accused = told.get(wrong.holder)
    if accused is None:
        raise ProofError("there is no statement of the one whose parts are said to be wrong")
    if {(one.request, one.about) for one in told.values()} != {(accused.request, accused.about)}:
        raise ProofError("the statements are about different parts")
    for one in wrong.statements:
        verify_statement(one)
    if not any(_is_wrong(wrong.holder, told, roster) for roster in rosters):
        raise ProofError(f"{to_hex(wrong.holder)} does not disagree with more than may be wrong")


def encode_wrong_parts(wrong: WrongParts) -> bytes:
    """Write down who gave wrong parts: format version, then MessagePack."""
    return bytes((FORMAT,)) + msgspec.msgpack.encode(wrong)


def decode_wrong_parts(data: bytes) -> WrongParts:
    """Read what `encode_wrong_parts` wrote.

    Raises:
        MalformedError: It is something else, too long, or in another format version.
    """
    if data[:1] != bytes((FORMAT,)) or len(data) > _MOST_BYTES:
        raise MalformedError(f"not in format version {FORMAT}, or beyond {_MOST_BYTES} bytes")
    try:
        found = msgspec.msgpack.decode(data[1:], type=WrongParts)
    except UNREADABLE as error:
        raise MalformedError(f"it does not show wrong parts: {error}") from error
    if len({one.holder for one in found.statements}) != len(found.statements):
        raise MalformedError("two statements of one keyholder")
    return found


def _is_wrong(accused: bytes, told: dict[bytes, PartsStatement], roster: Roster) -> bool:
    """Whether a keyholder does not speak of just its seeds, or disagrees with more members than may be wrong."""
    if accused not in roster.members:
        return False
    own, number = _hashes(told[accused], roster), roster.number_of(accused)
    subsets = roster.sharing.subsets_of(number)
    if own and own.keys() != set(subsets):
        return True
    others = 0
    for member in set(roster.members) & told.keys() - {accused}:
        theirs, other = _hashes(told[member], roster), roster.number_of(member)
        others += any(
            own.get(subset) != theirs.get(subset) for subset in subsets if other in subset
        )
    return others > len(roster.members) - roster.threshold


def _hashes(statement: PartsStatement, roster: Roster) -> dict[Subset, bytes]:
    return {one.subset: one.hash for one in statement.hashes if one.epoch == roster.epoch}


def _about(parts: HolderParts) -> bytes:
    return u32(parts.epoch) + u64(parts.number) + prefixed(parts.salt) + _packed(parts.indices)


@lru_cache(maxsize=1024)
def _packed(numbers: tuple[int, ...]) -> bytes:
    return prefixed(b"".join([u32(number) for number in numbers]))


def _digest(head: TreeHead) -> bytes:
    return personal_digest(label("released-parts") + u32(head.size) + head.root)


@lru_cache(maxsize=1024)
def _is_signed(head: TreeHead, signature: bytes, holder: bytes) -> bool:
    """Remembered, as one signature stands for up to a thousand statements."""
    try:
        verify_signature(_digest(head), signature, holder)
    except SigningError:
        return False
    return True

"""What a keyholder signs of the parts that it released, and the key to which a request is answered."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final, Self

import msgspec

from ledger.crypto.hpke import EncryptionKey, Purpose
from ledger.crypto.merkle import InclusionProof, MerkleTree, TreeHead, leaf_hash, verify_inclusion
from ledger.crypto.secret_sharing import Bytes32, HolderParts, Release, Roster, Subset
from ledger.crypto.signatures import SIGNATURE_LENGTH, personal_digest, sign, verify_signature
from ledger.encoding import FORMAT, SIZE, answer_key_message, label, prefixed, sized, u32, u64
from ledger.errors import LedgerError, MalformedError, SigningError
from ledger.hexstr import ADDRESS_LENGTH, to_hex
from ledger.jsonio import UNREADABLE
from ledger.typed_data import AccessRequest, Domain, digest, domain_separator

REQUESTS_PER_KEY: Final = 256
"""Requests that one key may answer: their nonces share a storage slot of the access log."""

KEY_LIFETIME: Final = 3600
"""Seconds for which a consumer signs requests with one key."""

_WORD_SIZE: Final = 16
_COUNTER_BITS: Final = 8
_KEYS_REMEMBERED: Final = 4096


class NonceMismatchError(LedgerError):
    """A request's nonce does not commit to the key that came with it."""


@lru_cache(_KEYS_REMEMBERED)
def nonce_word(domain: Domain, consumer: bytes, key: bytes) -> int:
    """Return the part of a nonce above its counter, for `key` as it was sent (suite, public key)."""
    message = answer_key_message(domain.chain_id, domain.verifying_contract, consumer, key)
    return int.from_bytes(sha256(message).digest()[:_WORD_SIZE], "big")


def make_nonce(word: int, counter: int) -> int:
    """Return the nonce of a key's request; `MalformedError` if the counter is outside 0 to 255."""
    if not 0 <= counter < REQUESTS_PER_KEY:
        raise MalformedError(f"a key answers {REQUESTS_PER_KEY} requests at most")
    return word << _COUNTER_BITS | counter


def is_committed(domain: Domain, consumer: bytes, nonce: int, key: bytes) -> bool:
    return nonce >> _COUNTER_BITS == nonce_word(domain, consumer, key)


def verify_answer_key(domain: Domain, consumer: bytes, nonce: int, key: bytes) -> EncryptionKey:
    """Return the key to seal to, if a request's nonce commits to it.

    Remembered: 256 requests cost one look.

    Raises:
        NonceMismatchError: the nonce commits to another key.
        MalformedError: nothing can be sealed to this key.
    """
    # The hash before the key: bytes that nobody committed to are not read as a key at all.
    if not is_committed(domain, consumer, nonce, key):
        raise NonceMismatchError("the request's nonce does not commit to this key")
    return _usable(key)


@lru_cache(_KEYS_REMEMBERED)
def _usable(key: bytes) -> EncryptionKey:
    usable = EncryptionKey(key)
    usable.seal(b"", Purpose.ANSWER)  # a point of low order shows only when it is used
    return usable


MAX_PROOF: Final = 512 * 1024
"""Bytes of evidence for wrong parts."""
_WORD: Final = 4
MAX_SIGNED: Final = SIGNATURE_LENGTH + SIZE + 2 * _WORD + 32 * SIZE
"""Bytes of what is signed of one statement: a tree of 2^32 has a way of 32 hashes."""

Address = Annotated[bytes, msgspec.Meta(min_length=ADDRESS_LENGTH, max_length=ADDRESS_LENGTH)]


class SubsetHash(msgspec.Struct, frozen=True, array_like=True):
    """The hash of the parts that were made with one seed, of all records of its epoch."""

    subset: Subset
    hash: Bytes32


class EpochParts(msgspec.Struct, frozen=True, array_like=True):
    """What a keyholder says that it released of the records of one epoch."""

    roster: Bytes32
    """Digest of the epoch's roster, as the keyholder has it."""
    holder: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    """The number by which its parts call it."""
    about: Bytes32
    """Hash of which records and fields these are. Parts of others cannot be compared."""
    hashes: tuple[SubsetHash, ...]


class PartsStatement(msgspec.Struct, frozen=True, array_like=True):
    """What a keyholder says that it released for one request."""

    request: Bytes32
    """Digest of the `AccessRequest`: chain and access log are in it."""
    epochs: tuple[EpochParts, ...]

    def leaf(self) -> bytes:
        return leaf_hash(
            label("parts-statement")
            + self.request
            + u32(len(self.epochs))
            + b"".join([_packed_epoch(epoch) for epoch in self.epochs])
        )


class SignedStatement(msgspec.Struct, frozen=True, array_like=True):
    """A keyholder's statement, and what shows that it signed it."""

    holder: Address
    statement: PartsStatement
    signed: bytes
    """From `sign_statements`."""


class StatedRequest(msgspec.Struct, frozen=True, array_like=True):
    """An `AccessRequest` in MessagePack, which has no numbers of 256 bits."""

    consumer: Address
    basis: Bytes32
    item: Bytes32
    fields: Bytes32
    nonce: Bytes32
    deadline: Annotated[int, msgspec.Meta(ge=0)]

    @classmethod
    def of(cls, request: AccessRequest) -> Self:
        fields, nonce = (number.to_bytes(SIZE, "big") for number in (request.fields, request.nonce))
        return cls(request.consumer, request.basis, request.item, fields, nonce, request.deadline)

    def request(self) -> AccessRequest:
        return AccessRequest(
            consumer=self.consumer,
            basis=self.basis,
            item=self.item,
            fields=int.from_bytes(self.fields, "big"),
            nonce=int.from_bytes(self.nonce, "big"),
            deadline=self.deadline,
        )


class WrongParts(msgspec.Struct, frozen=True, array_like=True, tag="wrong-parts"):
    """Statements of several keyholders about one request, which show that one of them gave wrong parts."""

    holder: Address
    """Whose parts are said to be wrong."""
    request: StatedRequest
    statements: tuple[SignedStatement, ...]


def most_lies(roster: Roster) -> int:
    """Return how many members may lie, and agree about it, without showing that somebody else was wrong.

    Beside n-k that lie everything is still served; and k-1 may collude without opening anything (SECURITY.md).
    """
    return max(len(roster.members) - roster.threshold, roster.threshold - 1)


def state_parts(request: bytes, release: Release, rosters: Iterable[Roster]) -> PartsStatement:
    """Return what is signed of a release for a request (its digest).

    Raises:
        MalformedError: There is no roster of an epoch in it, or a number does not fit.
    """
    known = {roster.epoch: roster.digest() for roster in rosters}
    groups: dict[tuple[int, int], list[HolderParts]] = {}
    for parts in release.records:
        groups.setdefault((parts.epoch, parts.holder), []).append(parts)
    stated = []
    for (epoch, holder), own in sorted(groups.items()):
        if epoch not in known:
            raise MalformedError(f"no keyholders of epoch {epoch} are known")
        u32(holder)
        stated.append(_stated(request, known[epoch], holder, own))
    return PartsStatement(request, tuple(stated))


def sign_statements(
    statements: Sequence[PartsStatement], account: bytes, domain: Domain
) -> list[bytes]:
    """Sign statements for one key at once: for each the signature, the tree's head, the way to the root."""
    if not statements:
        return []
    tree = MerkleTree.of([statement.leaf() for statement in statements])
    head = tree.head()
    signature = sign(_digest(head, domain), account)
    begin = signature + head.root
    return [
        begin + u32(place) + u32(head.size) + b"".join(tree.prove_inclusion(place).hashes)
        for place in range(head.size)
    ]


def verify_signer(signed: bytes, holder: bytes, domain: Domain) -> None:
    """Check that a keyholder signed parts of this access log; not of which request.

    Raises:
        MalformedError: `signed` does not have its form.
        LedgerError: Somebody else signed it, or it is of another access log.
    """
    signature, head, _ = _parsed(signed)
    if not _is_signed(head, signature, holder, domain):
        raise LedgerError(f"{to_hex(holder)} did not sign the statement's root")


def verify_statement(stated: SignedStatement, domain: Domain) -> None:
    """Check that a keyholder signed a statement. Raises as `verify_signer`, also if it is not below the root."""
    _, head, proof = _parsed(stated.signed)
    verify_inclusion(stated.statement.leaf(), proof, head)
    verify_signer(stated.signed, stated.holder, domain)


def verify_wrong_parts(
    wrong: WrongParts, rosters: Iterable[Roster], domain: Domain
) -> AccessRequest:
    """Check that somebody's parts were wrong, whoever says so; return the request that they were for.

    Whether it was recorded is for the caller to look up.

    Raises:
        LedgerError: It does not follow: the statements are about another request or other
            parts, the accused disagrees with no more than may lie themselves, or a statement is not
            its keyholder's.
        MalformedError: `signed` of a statement does not have its form.
    """
    statements = {signed.holder: signed.statement for signed in wrong.statements}
    if wrong.holder not in statements:
        raise LedgerError("there is no statement of the one whose parts are said to be wrong")
    known = tuple(rosters)
    if not statements.keys() <= {member for roster in known for member in roster.members}:
        raise LedgerError("a statement of somebody who is in no roster")
    request = wrong.request.request()
    if {signed.request for signed in statements.values()} != {digest(request, domain)}:
        raise LedgerError("the statements are about another request")
    for signed in wrong.statements:
        verify_statement(signed, domain)
    if not any(_is_wrong(wrong.holder, statements, roster) for roster in known):
        raise LedgerError(f"{to_hex(wrong.holder)} does not disagree with more than may be wrong")
    return request


def encode_wrong_parts(wrong: WrongParts) -> bytes:
    """Write evidence: format version, then MessagePack."""
    return bytes((FORMAT,)) + msgspec.msgpack.encode(wrong)


def decode_wrong_parts(data: bytes) -> WrongParts:
    """Read what `encode_wrong_parts` wrote; `MalformedError` for anything else, or too much."""
    if data[:1] != bytes((FORMAT,)) or len(data) > MAX_PROOF:
        raise MalformedError(f"not in format version {FORMAT}, or beyond {MAX_PROOF} bytes")
    try:
        wrong = msgspec.msgpack.decode(data[1:], type=WrongParts)
    except UNREADABLE as error:
        raise MalformedError(f"it does not show wrong parts: {error}") from error
    if len({signed.holder for signed in wrong.statements}) != len(wrong.statements):
        raise MalformedError("two statements of one keyholder")
    return wrong


def _is_wrong(accused: bytes, statements: dict[bytes, PartsStatement], roster: Roster) -> bool:
    """Whether a member does not speak of just its seeds, or disagrees with more members than may lie."""
    if accused not in roster.members:
        return False

    def of_roster(member: bytes) -> list[EpochParts]:
        epochs = statements[member].epochs
        return [epoch for epoch in epochs if epoch.roster == roster.digest()]

    stated = of_roster(accused)
    if not stated:
        return False  # an honest one may have other members in a trial, or in an older deployment
    own, subsets = _own(stated, roster, accused), roster.sharing.subsets_of
    if own is None:
        return True
    others = 0
    for member in set(roster.members) & statements.keys() - {accused}:
        said = of_roster(member)
        theirs = _own(said, roster, member)
        if theirs is not None and said[0].about == stated[0].about:
            number = roster.number_of(member)
            shared = [subset for subset in subsets(roster.number_of(accused)) if number in subset]
            others += any(own[subset] != theirs[subset] for subset in shared)
    return others > most_lies(roster)


def _own(stated: Sequence[EpochParts], roster: Roster, member: bytes) -> dict[Subset, bytes] | None:
    """Return the hashes of a member's seeds; None unless it says its own number, and hashes of just its subsets."""
    number = roster.number_of(member)
    if [entry.holder for entry in stated] != [number]:
        return None
    hashes = stated[0].hashes
    if tuple([entry.subset for entry in hashes]) != roster.sharing.subsets_of(number):
        return None
    return {entry.subset: entry.hash for entry in hashes}


def _stated(
    request: bytes, roster: bytes, holder: int, records: Sequence[HolderParts]
) -> EpochParts:
    ordered = sorted(records, key=lambda record: (record.number, record.salt, record.indices))
    about = sha256(label("parts-about") + b"".join([_about(record) for record in ordered])).digest()
    made: dict[Subset, list[bytes]] = {}
    for parts in ordered:
        for share in parts.shares:
            made.setdefault(share.subset, []).append(prefixed(share.secret))
    begin = label("parts") + request + about + roster
    hashes = [
        SubsetHash(subset, sha256(begin + _packed(subset) + b"".join(parts)).digest())
        for subset, parts in sorted(made.items())
    ]
    return EpochParts(roster, holder, about, tuple(hashes))


def _about(parts: HolderParts) -> bytes:
    return u64(parts.number) + prefixed(parts.salt) + _packed(parts.indices)


def _packed_epoch(epoch: EpochParts) -> bytes:
    hashes = [_packed(each.subset) + each.hash for each in epoch.hashes]
    head = epoch.roster + u32(epoch.holder) + epoch.about
    return head + u32(len(hashes)) + b"".join(hashes)


@lru_cache(maxsize=1024)
def _packed(numbers: tuple[int, ...]) -> bytes:
    return prefixed(b"".join([u32(number) for number in numbers]))


def _parsed(signed: bytes) -> tuple[bytes, TreeHead, InclusionProof]:
    signature, rest = signed[:SIGNATURE_LENGTH], signed[SIGNATURE_LENGTH:]
    root, numbers, path = rest[:SIZE], rest[SIZE : SIZE + 2 * _WORD], rest[SIZE + 2 * _WORD :]
    if len(numbers) != 2 * _WORD or len(path) % SIZE or len(signed) > MAX_SIGNED:
        raise MalformedError("not the signature of a statement")
    index, size = (int.from_bytes(numbers[at : at + _WORD], "big") for at in (0, _WORD))
    hashes = tuple([path[at : at + SIZE] for at in range(0, len(path), SIZE)])
    return signature, TreeHead(size, root), InclusionProof(index, size, hashes)


def _digest(head: TreeHead, domain: Domain) -> bytes:
    text = label("released-parts") + domain_separator(domain) + u32(head.size) + head.root
    return personal_digest(text)


@lru_cache(maxsize=1024)
def _is_signed(head: TreeHead, signature: bytes, holder: bytes, domain: Domain) -> bool:
    """Remembered, as one signature stands for up to a thousand statements."""
    try:
        verify_signature(_digest(head, domain), signature, holder)
    except SigningError:
        return False
    return True


# What else a keyholder signs, to show that an answer is its own: two URLs may be one keyholder's


def holder_digest(nonce: bytes, domain: Domain) -> bytes:
    """Return what a keyholder signs to show who it is, to whoever drew this nonce (32 bytes)."""
    text = label("holder") + domain_separator(domain) + sized("a nonce", nonce, SIZE)
    return personal_digest(text)


def subkeys_digest(
    roster: bytes, dataset: bytes, provider: bytes, sealed: bytes, domain: Domain
) -> bytes:
    """Return what a keyholder signs of the sealed subkeys that it hands to a provider.

    Roster is the digest of their epoch's; `MalformedError` if an argument does not have its length.
    """
    text = label("handed-subkeys") + domain_separator(domain) + sized("a roster", roster, SIZE)
    text += sized("a dataset", dataset, SIZE) + sized("a provider", provider, ADDRESS_LENGTH)
    return personal_digest(text + prefixed(sealed))

"""Vectors of trees, key custody, encrypted records, sealed messages and answer keys.

`cryptography` has no way to inject the randomness of ML-KEM: what is sealed with suite 0x02 is taken over
from the file that is there, as long as it still opens.
"""

import contextlib
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger import encoding
from ledger.crypto import merkle, publications, records, secret_sharing
from ledger.crypto.hpke import DecryptionKey, Purpose, Suite
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import Domain
from tests.support.provider import prove_owner, provider_keys
from tests.vectors.files import FOLDER, named, stream, text_of, vectors

NAMES = ("姓名", "district", "area", "mortgaged")
VALUES = ("王小明", "pudong", "89.5", "")
INDICES = (1, 2)
EPOCH = 3
NUMBER = 2**40 + 7
PLAINTEXT = b"what is sealed"
DIGEST = hashlib.sha256(b"quancheng test vectors: request digest").digest()


def make_files() -> dict[str, str]:
    made = {
        "merkle": merkle_vectors(),
        "custody": custody_vectors(),
        "records": record_vectors(),
        "sealing": sealing_vectors(),
        "answer-keys": answer_key_vectors(),
    }
    return {f"{name}.json": text_of(value, indent=2) for name, value in made.items()}


def answer_key_vectors() -> dict[str, Any]:
    """Nonces of keys of both suites, and everything that a nonce is not good for."""
    keys = {
        suite: DecryptionKey(
            bytes((suite,)) + named(f"answer key {suite}")
        ).encryption_key.to_bytes()
        for suite in Suite
    }
    domain, consumer = Domain(18_317, named("AccessLog")[:20]), named("consumer")[:20]
    key = keys[Suite.X25519]
    changed = key[:-1] + bytes((key[-1] ^ 1,))
    others = {
        "another chain": (Domain(1, domain.verifying_contract), consumer, key),
        "another access log": (Domain(18_317, named("another log")[:20]), consumer, key),
        "another consumer": (domain, named("another consumer")[:20], key),
        "one bit of the key": (domain, consumer, changed),
        "another suite": (domain, consumer, bytes((Suite.MLKEM768_X25519,)) + key[1:]),
    }
    usual = nonce_word(domain, consumer, key)
    unfit = {
        "unknown suite": b"\x03" + bytes(32),
        "too short": key[:-1],
        "gives no secret": b"\x01" + bytes(32),
    }
    return {
        "chain_id": domain.chain_id,
        "access_log": to_hex(domain.verifying_contract),
        "consumer": to_hex(consumer),
        "keys": [_shown_nonce(domain, consumer, one, 7) for one in keys.values()],
        "last": _shown_nonce(domain, consumer, key, 255),
        "refused": [
            {
                "why": why,
                "chain_id": place.chain_id,
                "access_log": to_hex(place.verifying_contract),
                "consumer": to_hex(who),
                "key": to_hex(what),
                "nonce": str(make_nonce(usual, 7)),
            }
            for why, (place, who, what) in others.items()
        ],
        "unfit": [
            {"why": why} | _shown_nonce(domain, consumer, one, 0) for why, one in unfit.items()
        ],
    }


def _shown_nonce(domain: Domain, consumer: bytes, key: bytes, counter: int) -> dict[str, Any]:
    word = nonce_word(domain, consumer, key)
    message = encoding.answer_key_message(domain.chain_id, domain.verifying_contract, consumer, key)
    return {
        "key": to_hex(key),
        "message": to_hex(message),
        "word": to_hex(word.to_bytes(16, "big")),
        "counter": counter,
        "nonce": str(make_nonce(word, counter)),
    }


def merkle_vectors() -> dict[str, Any]:
    """Roots and proofs over the eight leaves that Certificate Transparency's own tests use."""
    texts = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
    data = [bytes.fromhex(text) for text in (*texts, "606162636465666768696a6b6c6d6e6f")]
    trees = [merkle.MerkleTree.of(map(merkle.leaf_hash, data[:size])) for size in range(9)]
    return {
        "source": "leaves, roots and inclusion proofs: Certificate Transparency, merkle_tree_test.cc",
        "leaves": [
            {"data": to_hex(one), "leaf_hash": to_hex(merkle.leaf_hash(one))} for one in data
        ],
        "roots": [{"size": tree.size, "root": to_hex(tree.head().root)} for tree in trees],
        "inclusion": [
            {
                "index": index,
                "size": size,
                "hashes": _hexes(trees[size].prove_inclusion(index).hashes),
            }
            for index, size in ((0, 1), (0, 8), (5, 8), (2, 3), (1, 5))
        ],
        "ranges": [
            {
                "start": start,
                "end": end,
                "size": size,
                "hashes": _hexes(trees[size].prove_range(start, end).hashes),
            }
            for start, end, size in (
                (0, 8, 8),
                (2, 5, 8),
                (3, 4, 7),
                (5, 7, 7),
                (0, 1, 5),
                (4, 5, 5),
            )
        ],
    }


def seeds_of(sharing: secret_sharing.Sharing) -> list[secret_sharing.Seed]:
    """Return all seeds, which in real life nobody has together."""
    return [
        secret_sharing.Seed(EPOCH, subset, named(f"seed {subset}")) for subset in sharing.subsets
    ]


def holders_of(sharing: secret_sharing.Sharing) -> list[secret_sharing.HolderSeeds]:
    seeds = seeds_of(sharing)
    return [
        secret_sharing.assemble_seeds(
            sharing, holder, EPOCH, [s for s in seeds if holder in s.subset]
        )
        for holder in range(1, sharing.holders + 1)
    ]


def custody_vectors() -> dict[str, Any]:
    """From seeds to one field's key, for 1 of 1, 2 of 3 and 3 of 5."""
    sharings = (
        secret_sharing.Sharing(1, 1),
        secret_sharing.Sharing(2, 3),
        secret_sharing.Sharing(3, 5),
    )
    schema, salt = encoding.Schema(named("dataset"), NAMES), named("record salt")
    return {
        "dataset": to_hex(schema.dataset),
        "epoch": EPOCH,
        "number": NUMBER,
        "salt": to_hex(salt),
        "fields": [{"index": at, "name": schema.names[at]} for at in INDICES],
        "sharings": [_sharing_vectors(sharing, schema, salt) for sharing in sharings],
    }


def _sharing_vectors(
    sharing: secret_sharing.Sharing, schema: encoding.Schema, salt: bytes
) -> dict[str, Any]:
    holders = [secret_sharing.derive_subkeys(one, schema.dataset) for one in holders_of(sharing)]
    parts = [
        secret_sharing.derive_parts(holder, schema, NUMBER, salt, INDICES) for holder in holders
    ]
    keys = secret_sharing.combine_parts(sharing, parts)
    by_subset = {share.subset: share.secret for part in parts for share in part.shares}
    subkeys = secret_sharing.combine_subkeys(sharing, holders).subkeys
    rows = zip(seeds_of(sharing), subkeys, strict=True)
    return {
        "threshold": sharing.threshold,
        "holders": sharing.holders,
        "subsets": [
            {
                "holders": list(seed.subset),
                "seed": to_hex(seed.secret),
                "subkey": to_hex(subkey),
                "parts": _hexes(_pieces(by_subset[seed.subset])),
            }
            for seed, subkey in rows
        ],
        "keys": [
            {"index": field.index, "key": to_hex(field.key), "salt": to_hex(field.salt)}
            for field in keys.fields
        ],
    }


def record_vectors() -> dict[str, Any]:
    """One encrypted record with what it commits to, its opening, and proofs about its owner."""
    sharing, schema = secret_sharing.Sharing(2, 3), encoding.Schema(named("dataset"), NAMES)
    subkeys = [
        secret_sharing.derive_subkeys(holder, schema.dataset) for holder in holders_of(sharing)
    ]
    keys = secret_sharing.combine_subkeys(sharing, subkeys)
    owner, drawn = named("owner 2"), stream("randomness")
    record = records.encrypt_record(
        schema, keys, owner=owner, number=NUMBER, values=VALUES, randomness=drawn
    )
    opening = provider_keys(keys, schema, NUMBER, record.salt, INDICES)
    opened = records.open_fields(schema, record, opening)
    header = encoding.header_leaf(owner, NUMBER, record.salt, EPOCH)
    return {
        "dataset": to_hex(schema.dataset),
        "names": list(NAMES),
        "subkeys": _hexes(keys.subkeys),
        "epoch": EPOCH,
        "owner": to_hex(owner),
        "number": NUMBER,
        "values": list(VALUES),
        "randomness": to_hex(drawn(32 + 12 * len(VALUES))),
        "line": records.encode_line(record).decode().rstrip("\n"),
        "header_leaf": to_hex(header),
        "record_root": to_hex(record.entry().root),
        "publication_leaf": to_hex(record.entry().leaf()),
        "excerpt": records.encode_line(record.excerpt(INDICES)).decode().rstrip("\n"),
        "opened": [
            {
                "index": one.index,
                "name": one.name,
                "value": one.value,
                "key": to_hex(key.key),
                "salt": to_hex(one.salt),
            }
            for one, key in zip(opened, opening.fields, strict=True)
        ],
        "withdrawn": records.encode_line(records.WithdrawnRecord(owner, NUMBER))
        .decode()
        .rstrip("\n"),
        "publication": _publication_vectors(record),
    }


def _publication_vectors(record: records.EncryptedRecord) -> dict[str, Any]:
    others = [(named("owner 1"), 1), (named("owner 3"), 1), (named("owner 3"), 2)]
    others += [(record.owner, 5), (named("owner 4"), 9)]
    entries = [
        publications.PublicationEntry(owner, number, named(f"record root {number}"))
        for owner, number in others
    ]
    entries.append(record.entry())
    entries.sort(key=lambda entry: (entry.owner, entry.number))
    tree = merkle.MerkleTree.of(entry.leaf() for entry in entries)
    owners = sorted(
        {entry.owner for entry in entries} | {named("owner 5"), bytes(32), b"\xff" * 32}
    )
    return {
        "entries": [_entry(entry) for entry in entries],
        "count": tree.size,
        "root": to_hex(tree.head().root),
        "owner_proofs": [_owner_proof(tree, entries, owner) for owner in owners],
    }


def _owner_proof(
    tree: merkle.MerkleTree, entries: list[publications.PublicationEntry], owner: bytes
) -> dict[str, Any]:
    proof = prove_owner(tree, entries, owner)
    found = publications.verify_owner(proof, owner, tree.head())
    return {
        "owner": to_hex(owner),
        "numbers": [entry.number for entry in found],
        "start": proof.start,
        "size": proof.size,
        "entries": [_entry(entry) for entry in proof.entries],
        "hashes": _hexes(proof.hashes),
    }


def _entry(entry: publications.PublicationEntry) -> dict[str, Any]:
    return {"owner": to_hex(entry.owner), "number": entry.number, "root": to_hex(entry.root)}


def sealing_vectors() -> dict[str, Any]:
    """One release for each suite, sealed alone and in a session."""
    return {
        "purpose": Purpose.RELEASE.value,
        "context": to_hex(DIGEST),
        "info": to_hex(release_info()),
        "plaintext": to_hex(PLAINTEXT),
        "messages": [_message_vectors(suite) for suite in Suite],
    }


def _message_vectors(suite: Suite) -> dict[str, Any]:
    secret = bytes((suite,)) + named(f"opening key {suite.value}")
    key, ephemeral = DecryptionKey(secret), named("ephemeral key")
    if suite is Suite.X25519:
        public = key.encryption_key.to_bytes()[1:]
        sealed = b"\x01\x01" + seal_by_hand(ephemeral, public, release_info(), PLAINTEXT)
    else:
        kept = _kept(suite).get("sealed")
        sealed = _kept_or_new(key, kept, PLAINTEXT, Purpose.RELEASE, DIGEST)
    return {
        "suite": suite.value,
        "opening_key": to_hex(secret),
        "encryption_key": to_hex(key.encryption_key.to_bytes()),
        "ephemeral_key": to_hex(ephemeral) if suite is Suite.X25519 else None,
        "sealed": to_hex(sealed),
        "session": _session_vectors(key),
    }


def _session_vectors(key: DecryptionKey) -> dict[str, Any]:
    """The same release as a message of a session, put together by hand."""
    ephemeral, secret = named("ephemeral key of a session"), named("session key")
    nonce = named("nonce in a session")[:12]
    if key.suite is Suite.X25519:
        public = key.encryption_key.to_bytes()[1:]
        wrapped = b"\x01\x01" + seal_by_hand(ephemeral, public, session_info(), secret)
    else:
        kept = _kept(key.suite).get("session", {}).get("sealed_key")
        wrapped = _kept_or_new(key, kept, secret, Purpose.SESSION, b"")
    head = bytes((2, key.suite)) + len(wrapped).to_bytes(4, "big") + wrapped
    return {
        "ephemeral_key": to_hex(ephemeral) if key.suite is Suite.X25519 else None,
        "key": to_hex(secret),
        "sealed_key": to_hex(wrapped),
        "nonce": to_hex(nonce),
        "sealed": to_hex(head + nonce + AESGCM(secret).encrypt(nonce, PLAINTEXT, release_info())),
    }


def release_info() -> bytes:
    """Return the HPKE `info` of the vectors' messages, laid out by hand."""
    return b"quancheng/1/release" + (32).to_bytes(4, "big") + DIGEST


def session_info() -> bytes:
    """Return the HPKE `info` of a session's key, laid out by hand: there is no context."""
    return b"quancheng/1/session" + bytes(4)


def _kept(suite: Suite) -> dict[str, Any]:
    if not (FOLDER / "sealing.json").exists():
        return {}
    messages = vectors("sealing.json")["messages"]
    return next((message for message in messages if message["suite"] == suite), {})


def _kept_or_new(
    key: DecryptionKey, kept: str | None, plaintext: bytes, purpose: Purpose, context: bytes
) -> bytes:
    with contextlib.suppress(LedgerError):
        if kept is not None and key.open(from_hex(kept), purpose, context) == plaintext:
            return from_hex(kept)
    return key.encryption_key.seal(plaintext, purpose, context)


# HPKE written down from RFC 9180, to hold the library's against it.


def seal_by_hand(ephemeral: bytes, public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal as RFC 9180's SetupBaseS and Seal, with a given ephemeral X25519 key."""
    sender = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = sender.public_key().public_bytes_raw()
    shared = sender.exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = key_schedule(0x0020, dhkem_secret(shared, enc, public), info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


def dhkem_secret(shared: bytes, enc: bytes, public: bytes) -> bytes:
    """Return DHKEM(X25519)'s shared secret (RFC 9180, section 4.1, ExtractAndExpand)."""
    suite = b"KEM\x00\x20"
    prk = labeled_extract(suite, b"", b"eae_prk", shared)
    return labeled_expand(suite, prk, b"shared_secret", enc + public, 32)


def key_schedule(kem: int, shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return key and base nonce (RFC 9180, section 5.1) for HKDF-SHA256 and AES-256-GCM."""
    suite = b"HPKE" + kem.to_bytes(2, "big") + b"\x00\x01\x00\x02"
    context = b"\x00" + labeled_extract(suite, b"", b"psk_id_hash", b"")
    context += labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared_secret, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 32)
    return key, labeled_expand(suite, secret, b"base_nonce", context, 12)


def labeled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    """LabeledExtract of RFC 9180, section 4."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand of RFC 9180, section 4, for lengths up to 32."""
    data = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, data + b"\x01", "sha256")[:length]


def _pieces(joined: bytes) -> Iterator[bytes]:
    return (joined[at : at + 32] for at in range(0, len(joined), 32))


def _hexes(values: Iterator[bytes] | tuple[bytes, ...]) -> list[str]:
    return [to_hex(value) for value in values]

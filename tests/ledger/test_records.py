"""Records: what was published opens and proves itself; whoever has no key learns no value."""

import base64
import dataclasses
import hashlib
import itertools
import json
import pickle
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ledger import encoding
from ledger.crypto.merkle import EMPTY_ROOT, MerkleTree, TreeHead
from ledger.crypto.publications import (
    OwnerProof,
    PublicationEntry,
    PublicationRoot,
    verify_owner,
    verify_published,
)
from ledger.crypto.records import (
    EncryptedRecord,
    OpenedField,
    WithdrawnRecord,
    decode_excerpt,
    decode_line,
    decode_lines,
    encode_line,
    encrypt_record,
    open_fields,
    verify_opened_fields,
)
from ledger.crypto.secret_sharing import DatasetKeys, RecordKeys
from ledger.encoding import Schema, field_leaf
from ledger.errors import LedgerError, MalformedError
from tests.support.provider import prove_owner, provider_keys
from tests.vectors.files import vectors

VECTORS = vectors("records.json")


def some(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


SCHEMA = Schema(some("dataset"), tuple(f"field {at}" for at in range(12)))
KEYS = DatasetKeys(1, SCHEMA.dataset, (some("subkey 12"), some("subkey 13"), some("subkey 23")))
VALUES = ("yes", "no", "", "上海市", "x" * 1000, "6", "7", "8", "9", "10", "11", "12")
OWNER = some("owner")
GRANTED = (0, 3, 11)


def encrypted(number: int = 1, owner: bytes = OWNER) -> EncryptedRecord:
    return encrypt_record(SCHEMA, KEYS, owner=owner, number=number, values=VALUES)


def keys_for(record: EncryptedRecord, indices: tuple[int, ...] = GRANTED) -> RecordKeys:
    return provider_keys(KEYS, SCHEMA, record.number, record.salt, indices)


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# Opening


def test_granted_fields_open_and_prove_themselves_from_an_excerpt() -> None:
    record = encrypted()
    neighbours = [PublicationEntry(some(str(at)), 1, some("root")) for at in range(4)]
    entries = sorted([*neighbours, record.entry()], key=lambda entry: entry.owner)
    tree = MerkleTree.of(entry.leaf() for entry in entries)

    excerpt = record.excerpt(GRANTED)
    assert [at for at, each in enumerate(excerpt.ciphertexts) if each is not None] == list(GRANTED)
    opened = open_fields(SCHEMA, excerpt, keys_for(record))
    assert [(one.index, one.name, one.value) for one in opened] == [
        (0, "field 0", "yes"),
        (3, "field 3", "上海市"),
        (11, "field 11", "12"),
    ]
    entry = verify_opened_fields(SCHEMA, excerpt, opened)
    assert entry == record.entry()
    proof = tree.prove_inclusion(entries.index(entry))
    assert verify_published(entry, proof, tree.head()) is entry


def test_all_fields_open() -> None:
    record = encrypted()
    opened = open_fields(SCHEMA, record, keys_for(record, tuple(range(12))))
    assert tuple(one.value for one in opened) == VALUES


def test_keys_open_no_field_but_their_own() -> None:
    record = encrypted()
    keys = keys_for(record, (0,))
    for index in range(1, 12):
        moved = dataclasses.replace(keys.fields[0], index=index)
        with pytest.raises(LedgerError, match=f"field {index} "):
            open_fields(SCHEMA, record, dataclasses.replace(keys, fields=(moved,)))


def test_a_field_that_was_not_handed_over_is_named() -> None:
    record = encrypted()
    with pytest.raises(LedgerError, match=r"field 3 \(field 3\) was not handed over"):
        open_fields(SCHEMA, record.excerpt((0, 11)), keys_for(record))


def test_keys_of_another_record_or_encryption_are_refused() -> None:
    record = encrypted()
    for other in (encrypted(number=2), encrypted()):
        with pytest.raises(LedgerError, match="another record"):
            open_fields(SCHEMA, record, keys_for(other))


def test_ciphertexts_do_not_move_between_records_fields_and_datasets() -> None:
    record, other = encrypted(), encrypted(number=2)
    keys = keys_for(record)
    swapped = (record.ciphertexts[3], *record.ciphertexts[1:])
    foreign = (other.ciphertexts[0], *record.ciphertexts[1:])
    for ciphertexts in (swapped, foreign):
        changed = msgspec.structs.replace(record, ciphertexts=ciphertexts)
        with pytest.raises(LedgerError, match="field 0"):
            open_fields(SCHEMA, changed, keys)
    with pytest.raises(LedgerError, match="field 0"):
        open_fields(Schema(some("another"), SCHEMA.names), record, keys)


@given(st.data())
def test_a_flipped_bit_in_a_ciphertext_does_not_open(data: st.DataObject) -> None:
    record = encrypted()
    ciphertexts = [each or b"" for each in record.ciphertexts]
    at = data.draw(st.sampled_from(GRANTED))
    ciphertexts[at] = flip(ciphertexts[at], data.draw(st.integers(0, 8 * len(ciphertexts[at]) - 1)))
    changed = msgspec.structs.replace(record, ciphertexts=tuple(ciphertexts))
    with pytest.raises(LedgerError, match=f"field {at} "):
        open_fields(SCHEMA, changed, keys_for(record))


@given(st.data())
def test_a_flipped_bit_in_what_is_committed_to_changes_the_root_or_fails(
    data: st.DataObject,
) -> None:
    record = encrypted()
    opened = open_fields(SCHEMA, record, keys_for(record))
    at = data.draw(st.integers(0, 11))
    bit = data.draw(st.integers(0, 255))
    leaves = (*record.leaves[:at], flip(record.leaves[at], bit), *record.leaves[at + 1 :])
    for changed in (
        msgspec.structs.replace(record, leaves=leaves),
        msgspec.structs.replace(record, owner=flip(record.owner, bit)),
        msgspec.structs.replace(record, salt=flip(record.salt, bit)),
        msgspec.structs.replace(record, number=record.number ^ 1 << bit % 64),
        msgspec.structs.replace(record, epoch=record.epoch ^ 1 << bit % 32),
    ):
        if changed.leaves != record.leaves and at in GRANTED:
            with pytest.raises(LedgerError, match=f"field {at} "):
                verify_opened_fields(SCHEMA, changed, opened)
        else:
            assert verify_opened_fields(SCHEMA, changed, opened).root != record.entry().root


@pytest.mark.parametrize(
    "change", [{"value": "no"}, {"salt": bytes(32)}, {"name": "field 1"}, {"value": "yes "}]
)
def test_a_value_that_was_not_published_is_refused(change: dict[str, Any]) -> None:
    record = encrypted()
    opened = open_fields(SCHEMA, record, keys_for(record))
    wrong = (dataclasses.replace(opened[0], **change), *opened[1:])
    with pytest.raises(LedgerError, match="field 0 is not what"):
        verify_opened_fields(SCHEMA, record, wrong)


def test_an_opened_field_counts_once_and_only_in_its_place() -> None:
    record = encrypted()
    opened = open_fields(SCHEMA, record, keys_for(record))
    for wrong in ((), (opened[0], opened[0]), opened[::-1]):
        with pytest.raises(MalformedError, match="increasing"):
            verify_opened_fields(SCHEMA, record, wrong)
    moved = dataclasses.replace(opened[0], index=1, name="field 1")
    with pytest.raises(LedgerError, match="field 1"):
        verify_opened_fields(SCHEMA, record, (moved,))


def test_a_record_of_another_width_than_the_schema_is_refused() -> None:
    record = encrypted()
    opened = open_fields(SCHEMA, record, keys_for(record))
    for names in (SCHEMA.names[:-1], (*SCHEMA.names, "one more")):
        other = Schema(SCHEMA.dataset, names)
        with pytest.raises(MalformedError, match=f"12 fields, the schema {len(names)}"):
            open_fields(other, record, keys_for(record, (0,)))
        with pytest.raises(MalformedError, match=f"12 fields, the schema {len(names)}"):
            verify_opened_fields(other, record, opened[:1])


def test_a_record_that_is_not_in_the_publication_is_refused() -> None:
    entries = [PublicationEntry(some("owner"), number, some("root")) for number in range(5)]
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    proof = tree.prove_inclusion(2)
    for change in ({"owner": bytes(32)}, {"number": 7}, {"root": bytes(32)}):
        with pytest.raises(LedgerError):
            verify_published(msgspec.structs.replace(entries[2], **change), proof, tree.head())


# Blindness


def test_the_gateway_cannot_confirm_a_guessed_value() -> None:
    """Promise 7. Everything that an encrypted record holds is tried as the salt of a leaf."""
    record = encrypted()
    public = [record.owner, record.salt, bytes(32), SCHEMA.dataset, record.entry().root]
    public += [record.entry().leaf(), *record.leaves]
    for each in record.ciphertexts:
        assert each is not None
        public += [each[:32], each[-32:], each[12:44], each[:12] + bytes(20)]
        public += [hashlib.sha256(each).digest()]
    for index, value in enumerate(VALUES):
        for salt in (each for each in public if len(each) == 32):
            guess = field_leaf(salt, SCHEMA.encoded[index], value.encode())
            assert guess != record.leaves[index]


def test_control_the_secret_salt_does_confirm_a_value() -> None:
    record = encrypted()
    for field in open_fields(SCHEMA, record, keys_for(record, tuple(range(12)))):
        value = VALUES[field.index].encode()
        assert (
            field_leaf(field.salt, SCHEMA.encoded[field.index], value) == record.leaves[field.index]
        )


def test_one_released_field_tells_nothing_that_confirms_another() -> None:
    record = encrypted()
    (released,) = keys_for(record, (0,)).fields
    for index in range(1, 12):
        for salt in (released.salt, released.key):
            guess = field_leaf(salt, SCHEMA.encoded[index], VALUES[index].encode())
            assert guess != record.leaves[index]


def test_equal_values_and_encryptions_look_different() -> None:
    twice = [
        encrypt_record(SCHEMA, KEYS, owner=OWNER, number=1, values=["same"] * 12) for _ in range(2)
    ]
    leaves = [leaf for record in twice for leaf in record.leaves]
    ciphertexts = [each for record in twice for each in record.ciphertexts]
    assert len(set(leaves)) == len(set(ciphertexts)) == 24
    assert twice[0].salt != twice[1].salt


def test_a_subkey_short_no_field_opens() -> None:
    """Promise 7: k-1 keyholders' subkeys are no keys."""
    record = encrypted()
    for missing in range(3):
        fewer = tuple(subkey for at, subkey in enumerate(KEYS.subkeys) if at != missing)
        for subkeys in (fewer, (*fewer, bytes(32))):
            keys = DatasetKeys(1, SCHEMA.dataset, subkeys)
            wrong = provider_keys(keys, SCHEMA, record.number, record.salt, GRANTED)
            with pytest.raises(LedgerError, match="field 0"):
                open_fields(SCHEMA, record, wrong)


def test_values_and_salts_are_not_shown() -> None:
    field = OpenedField(0, "name", "王小明", some("salt"))
    assert "王小明" not in repr(field)
    assert repr(some("salt"))[2:-1] not in repr(field)


# Encrypting


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": VALUES[:-1]}, "11 values for 12 fields"),
        ({"owner": bytes(31)}, "owner has 31 bytes"),
        ({"number": -1}, "2\\^64"),
        ({"number": 2**64}, "2\\^64"),
        ({"values": ["\ud800"] * 12}, "not valid Unicode at position 0"),
        ({"keys": DatasetKeys(1, bytes(32), KEYS.subkeys)}, "another dataset"),
        ({"keys": DatasetKeys(2**32, SCHEMA.dataset, KEYS.subkeys)}, "2\\^32"),
    ],
)
def test_what_cannot_be_encrypted_is_refused(change: dict[str, Any], message: str) -> None:
    given_: dict[str, Any] = {"keys": KEYS, "owner": OWNER, "number": 1, "values": VALUES, **change}
    with pytest.raises(MalformedError, match=message):
        encrypt_record(SCHEMA, **given_)


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        (bytes(31), ("a",)),
        (bytes(32), ()),
        (bytes(32), ("a", "a")),
        (bytes(32), ("a", "")),
        (bytes(32), ("\udfff",)),
        (bytes(32), tuple(map(str, range(257)))),
    ],
)
def test_impossible_schemas_are_refused(dataset: bytes, names: tuple[str, ...]) -> None:
    with pytest.raises(MalformedError):
        Schema(dataset, names)


def test_field_masks_and_indices_are_the_same_thing() -> None:
    for mask in (1, 0b1000_0000_1001, 2**12 - 1):
        assert SCHEMA.mask(SCHEMA.indices(mask)) == mask
    assert SCHEMA.indices(0b1001) == (0, 3)
    assert Schema(bytes(32), tuple(map(str, range(256)))).indices(1 << 255) == (255,)
    for wrong in (0, -1, 1 << 12):
        with pytest.raises(MalformedError, match="mask"):
            SCHEMA.indices(wrong)


def test_records_pass_between_processes() -> None:
    record = encrypted()
    assert pickle.loads(pickle.dumps(record)) == record


# Lines


def test_lines_come_back_as_they_were() -> None:
    record, withdrawn = encrypted(number=2**64 - 1), WithdrawnRecord(OWNER, 3)
    lines = encode_line(record) + encode_line(withdrawn)
    assert list(decode_lines(lines.splitlines(keepends=True))) == [record, withdrawn]
    excerpt = record.excerpt(GRANTED)
    assert decode_excerpt(encode_line(excerpt)) == excerpt


def spoilt(**changes: Any) -> bytes:
    fields = json.loads(encode_line(encrypted()))
    for name, value in changes.items():
        if value is None:
            del fields[name]
        else:
            fields[name] = value
    return json.dumps(fields).encode()


HASH = "0x" + "ab" * 32
CIPHERTEXT = base64.b64encode(bytes(60)).decode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff", "malformed"),
        (b'{"v":1}', "missing required field `owner`"),
        (spoilt(v=2), r"\$\.v"),
        (spoilt(v=None), "`v`"),
        (spoilt(extra=1), "unknown field"),
        (spoilt(number="1"), r"\$\.number"),
        (spoilt(number=1.0), r"\$\.number"),
        (spoilt(number=-1), "number is outside"),
        (spoilt(number=2**64), "number is outside"),
        (spoilt(number=True), r"\$\.number"),
        (spoilt(epoch=2**32), "epoch is outside"),
        (spoilt(epoch=None), "`epoch`"),
        (spoilt(owner=HASH[:-1]), "owner is not"),
        (spoilt(owner=HASH[:-2]), "owner is not"),
        (spoilt(owner=HASH[2:]), "owner is not"),
        (spoilt(owner="0x" + "AB" * 32), "owner is not"),
        (spoilt(owner="0x " + "ab" * 31 + "a"), "owner is not"),
        (spoilt(owner="0x" + "ab " * 32), "owner is not"),
        (spoilt(owner="0X" + "ab" * 32), "owner is not"),
        (spoilt(owner="0x" + "\uff11" * 64), "owner is not"),
        (spoilt(owner=HASH[:-1] + "\n"), "owner is not"),
        (spoilt(owner=7), r"\$\.owner"),
        (spoilt(salt=""), "salt is not"),
        (spoilt(leaves=[HASH] * 11 + ["0x" + "zz" * 32]), r"leaves\[11\] is not"),
        (spoilt(leaves=[HASH] * 11 + [HASH + "ab"]), r"leaves\[11\] is not"),
        (spoilt(leaves=[HASH] * 11), "as many fields as leaves"),
        (spoilt(leaves=[], fields=[]), "1 to 256 fields"),
        (spoilt(leaves=[HASH] * 257, fields=[CIPHERTEXT] * 257), "1 to 256 fields"),
        (spoilt(fields=[CIPHERTEXT[:-4]] * 12), "shorter than"),
        (spoilt(fields=["%"] * 12), r"\$\.fields\[0\]"),
        (spoilt(fields=[None, *[CIPHERTEXT] * 11]), "null"),
        (spoilt(withdrawn=True), "unknown field"),
        (b'{"v":1,"owner":"%s","number":1,"withdrawn":false}' % HASH.encode(), "withdrawn"),
        (b'{"v":1,"owner":"0xab","number":1,"withdrawn":true}', "owner is not"),
        (b'{"v":1,"owner":"%s","number":-1,"withdrawn":true}' % HASH.encode(), "number is"),
    ],
)
def test_lines_that_are_not_exactly_records_are_refused(line: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        decode_line(line)


def test_the_line_that_is_refused_is_named() -> None:
    lines = [encode_line(encrypted()), b"{}\n"]
    with pytest.raises(MalformedError, match=r"^line 2: "):
        list(decode_lines(lines))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_with_our_own_error(line: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_line(line)


# Publications


def entry_of(owner: int, number: int) -> PublicationEntry:
    return PublicationEntry(bytes(31) + bytes((owner,)), number, some(f"root {owner} {number}"))


entries_of_a_publication = st.lists(
    st.builds(entry_of, st.integers(1, 8), st.integers(0, 5)), max_size=25, unique=True
).map(lambda entries: sorted(entries, key=lambda entry: (entry.owner, entry.number)))


def test_a_publication_is_summed_up_in_order_only() -> None:
    entries = [entry_of(1, 1), entry_of(1, 2), entry_of(2, 1)]
    root = PublicationRoot()
    assert root.head() == TreeHead(0, EMPTY_ROOT)
    for entry in entries:
        root.add(entry)
    assert root.head() == MerkleTree.of(entry.leaf() for entry in entries).head()
    for late in (entries[0], entries[2]):
        with pytest.raises(MalformedError, match="order"):
            root.add(late)
    root.add(entry_of(2, 2))


def test_many_records_at_once_are_summed_up_as_one_by_one() -> None:
    entries = [entry_of(owner, number) for owner in range(1, 9) for number in range(3)]
    run = [(entry.owner, entry.number, entry.root) for entry in entries]
    root = PublicationRoot()
    root.extend(run[:5])
    for wrong in (run[4:6], [run[6], run[5]], [run[5], run[5]], [(b"x", 1, bytes(32))]):
        with pytest.raises(MalformedError):
            root.extend(wrong)
    root.extend(run[5:])
    assert root.head() == MerkleTree.of(entry.leaf() for entry in entries).head()


@given(entries_of_a_publication, st.integers(0, 9))
def test_an_owner_proof_shows_all_records_or_that_there_is_none(
    entries: list[PublicationEntry], number: int
) -> None:
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    owner = entry_of(number, 0).owner
    proof = prove_owner(tree, entries, owner)
    found = verify_owner(proof, owner, tree.head())
    assert list(found) == [entry for entry in entries if entry.owner == owner]
    assert len(proof.entries) <= len(found) + 2


@given(entries_of_a_publication, st.integers(0, 9))
def test_no_other_run_of_the_publication_passes_as_an_owner_proof(
    entries: list[PublicationEntry], number: int
) -> None:
    """A gateway that leaves a record out, or says there is none, has no run to show for it."""
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    owner = entry_of(number, 0).owner
    honest = prove_owner(tree, entries, owner)
    for start, end in itertools.combinations(range(len(entries) + 1), 2):
        run = tree.prove_range(start, end)
        claim = OwnerProof(start, tree.size, tuple(entries[start:end]), run.hashes)
        if claim == honest:
            verify_owner(claim, owner, tree.head())
        else:
            with pytest.raises(LedgerError, match=r"begin|end"):
                verify_owner(claim, owner, tree.head())


@given(entries_of_a_publication.filter(bool), st.data())
def test_an_owner_proof_with_a_record_dropped_added_or_changed_fails(
    entries: list[PublicationEntry], data: st.DataObject
) -> None:
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    owner = data.draw(st.sampled_from(entries)).owner
    proof = prove_owner(tree, entries, owner)
    at = data.draw(st.integers(0, len(proof.entries) - 1))
    before, this, after = proof.entries[:at], proof.entries[at], proof.entries[at + 1 :]
    changed = msgspec.structs.replace(this, root=flip(this.root, data.draw(st.integers(0, 255))))
    added = PublicationEntry(owner, 100, some("added"))
    for claimed in ((*before, *after), (*before, changed, *after), (*before, this, added, *after)):
        for start in {proof.start, proof.start + len(proof.entries) - len(claimed)}:
            claim = msgspec.structs.replace(proof, entries=claimed, start=start)
            with pytest.raises(LedgerError):
                verify_owner(claim, owner, tree.head())
    for size in (tree.size - 1, tree.size + 1):
        with pytest.raises(LedgerError):
            verify_owner(msgspec.structs.replace(proof, size=size), owner, tree.head())
        with pytest.raises(LedgerError):
            verify_owner(proof, owner, TreeHead(size, tree.head().root))


def test_an_empty_publication_shows_that_there_is_none() -> None:
    tree = MerkleTree.of([])
    proof = prove_owner(tree, [], OWNER)
    assert verify_owner(proof, OWNER, tree.head()) == ()
    with pytest.raises(LedgerError, match="empty"):
        verify_owner(proof, OWNER, TreeHead(0, bytes(32)))
    with pytest.raises(LedgerError, match="the tree has 1"):
        verify_owner(proof, OWNER, TreeHead(1, bytes(32)))
    with pytest.raises(LedgerError, match="empty"):
        verify_owner(OwnerProof(0, 0, (entry_of(1, 1),), ()), OWNER, tree.head())


def test_a_publication_out_of_order_proves_nothing_where_it_shows() -> None:
    entries = [entry_of(1, 1), entry_of(3, 1), entry_of(3, 1), entry_of(5, 1)]
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    run = OwnerProof(0, 4, tuple(entries), tree.prove_range(0, 4).hashes)
    with pytest.raises(LedgerError, match="not in order"):
        verify_owner(run, entries[1].owner, tree.head())


def test_a_tree_of_another_publication_is_not_used_for_proofs() -> None:
    with pytest.raises(MalformedError, match="1 entries for a tree of 0"):
        prove_owner(MerkleTree.of([]), [entry_of(1, 1)], OWNER)


# Vectors


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def by_hand(prefix: int, name: bytes, *parts: bytes) -> str:
    """The tagged hash of the spec page, with nothing from `ledger`."""
    tag = bytes((prefix, 1, len(name))) + name
    return "0x" + hashlib.sha256(tag + b"".join(parts)).hexdigest()


def test_the_spec_vectors_follow_the_byte_formulas() -> None:
    line = json.loads(VECTORS["line"])
    owner, salt = unhex(line["owner"]), unhex(line["salt"])
    number, epoch = line["number"].to_bytes(8, "big"), line["epoch"].to_bytes(4, "big")
    assert VECTORS["header_leaf"] == by_hand(0, b"header", owner, number, salt, epoch)
    for one in VECTORS["opened"]:
        name, value = one["name"].encode(), one["value"].encode()
        index = one["index"].to_bytes(4, "big")
        encoded = index + len(name).to_bytes(4, "big") + name
        sized = len(value).to_bytes(4, "big") + value
        leaf = by_hand(0, b"field", unhex(one["salt"]), encoded, sized)
        assert line["leaves"][one["index"]] == leaf
        sealed = base64.b64decode(line["fields"][one["index"]])
        padded = value + b"\x80" + bytes(31 - len(value) % 32)
        context = b"\x01quancheng/1/value" + unhex(VECTORS["dataset"]) + number + salt + encoded
        assert AESGCM(unhex(one["key"])).decrypt(sealed[:12], sealed[12:], context) == padded
    root = unhex(VECTORS["record_root"])
    assert VECTORS["publication_leaf"] == by_hand(0, b"record", owner, number, root)
    # Five leaves: RFC 6962 puts four to the left and one to the right.
    a, b, c, d, e = (unhex(text) for text in (VECTORS["header_leaf"], *line["leaves"]))
    assert node(node(node(a, b), node(c, d)), e) == root


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_the_library_gives_the_spec_vectors() -> None:
    schema = Schema(unhex(VECTORS["dataset"]), tuple(VECTORS["names"]))
    keys = DatasetKeys(VECTORS["epoch"], schema.dataset, tuple(map(unhex, VECTORS["subkeys"])))
    drawn = unhex(VECTORS["randomness"])
    record = encrypt_record(
        schema,
        keys,
        owner=unhex(VECTORS["owner"]),
        number=VECTORS["number"],
        values=VECTORS["values"],
        randomness=lambda count: drawn[:count],
    )
    assert encode_line(record) == VECTORS["line"].encode() + b"\n"
    assert decode_line(VECTORS["line"].encode()) == record
    assert decode_excerpt(VECTORS["excerpt"].encode()) == record.excerpt((1, 2))
    assert decode_line(VECTORS["withdrawn"].encode()) == WithdrawnRecord(
        record.owner, record.number
    )
    opened = open_fields(
        schema, record, provider_keys(keys, schema, record.number, record.salt, (1, 2))
    )
    assert [one.value for one in opened] == [one["value"] for one in VECTORS["opened"]]
    assert "0x" + verify_opened_fields(schema, record, opened).root.hex() == VECTORS["record_root"]


@pytest.mark.parametrize("case", VECTORS["publication"]["owner_proofs"])
def test_owner_proofs_of_the_spec_vectors(case: dict[str, Any]) -> None:
    publication = VECTORS["publication"]
    entries = [read_entry(entry) for entry in publication["entries"]]
    head = TreeHead(publication["count"], unhex(publication["root"]))
    tree = MerkleTree.of(entry.leaf() for entry in entries)
    shown = tuple(read_entry(entry) for entry in case["entries"])
    proof = OwnerProof(case["start"], case["size"], shown, tuple(map(unhex, case["hashes"])))
    owner = unhex(case["owner"])
    assert [entry.number for entry in verify_owner(proof, owner, head)] == case["numbers"]
    assert prove_owner(tree, entries, owner) == proof


def read_entry(entry: dict[str, Any]) -> PublicationEntry:
    return PublicationEntry(unhex(entry["owner"]), entry["number"], unhex(entry["root"]))


@pytest.mark.parametrize("length", [0, 1, 30, 31, 32, 33, 63, 64, 500])
def test_values_of_one_length_class_have_ciphertexts_of_one_length(length: int) -> None:
    padded = encoding.padded(b"\x00" * length)
    assert len(padded) == (length // 32 + 1) * 32
    assert encoding.unpadded(padded) == b"\x00" * length


@pytest.mark.parametrize("broken", [b"", bytes(32), b"\x80", b"\x80" + bytes(63), b"x" * 32])
def test_what_is_not_padded_is_refused(broken: bytes) -> None:
    with pytest.raises(MalformedError, match="not padded"):
        encoding.unpadded(broken)

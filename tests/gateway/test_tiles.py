"""Tiles give the same roots and proofs as the whole tree of `ledger`, with a few reads."""

import hashlib
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeltaError, StoreDamagedError
from gateway.publishing.tiles import (
    ENTRY,
    TILE,
    OpenTile,
    TileBuilder,
    TileTree,
    apply_changes,
    complement,
    pack_entry,
    pack_withdrawal,
    place_of,
    unpack_entry,
)
from ledger.crypto.merkle import EMPTY_ROOT, MerkleTree, TreeHead
from ledger.crypto.publications import OwnerProof, PublicationEntry, verify_owner
from tests.support.provider import prove_owner


def owner(number: int) -> bytes:
    return number.to_bytes(32, "big")


def entry(owner_number: int, number: int, salt: int = 0) -> PublicationEntry:
    root = hashlib.sha256(f"{owner_number} {number} {salt}".encode()).digest()
    return PublicationEntry(owner(owner_number), number, root)


def publication(places: list[tuple[int, int]]) -> list[PublicationEntry]:
    return [entry(who, number) for who, number in sorted(set(places))]


def build(entries: list[PublicationEntry], step: int) -> tuple[TileTree, dict[int, OpenTile]]:
    packed = b"".join(pack_entry(one, at + 1) for at, one in enumerate(entries))
    builder, made = TileBuilder(), []
    for start in range(0, len(packed), step * ENTRY):
        made += builder.add(packed[start : start + step * ENTRY])
    made += builder.finish()
    tiles = {tile.position: OpenTile(tile.entries) for tile in made}
    return TileTree(builder.head(), builder.directory), tiles


places = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 2**64 - 1) | st.integers(0, 3)),
    min_size=1,
    max_size=300,
)


@given(places, st.integers(1, 150))
def test_root_and_owner_proofs_are_those_of_the_whole_tree(
    chosen: list[tuple[int, int]], step: int
) -> None:
    entries = publication(chosen)
    tree, tiles = build(entries, step)
    whole = MerkleTree.of(one.leaf() for one in entries)
    assert tree.head == whole.head()
    for who in (0, *range(1, 62), 2**256 - 1):
        needed = {at: tiles[at] for at in tree.tiles_of_owner(owner(who))}
        start, end = tree.owner_bounds(owner(who), needed)
        run = tree.run(max(start - 1, 0), min(end + 1, len(entries)), needed)
        found = tuple(one for one, _ in run.entries)
        proof = OwnerProof(run.start, tree.head.size, found, run.hashes)
        assert proof == prove_owner(whole, entries, owner(who))
        own = verify_owner(proof, owner(who), tree.head)
        assert own == tuple(one for one in entries if one.owner == owner(who))
        assert own == tuple(one for one, _ in run.entries[start - run.start : end - run.start])


@given(st.integers(1, 400), st.data())
def test_the_nodes_of_a_range_proof_are_those_of_the_whole_tree(
    size: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    entries = [entry(1, number) for number in range(size)]
    tree, tiles = build(entries, 64)
    whole = MerkleTree.of(one.leaf() for one in entries)
    needed = {at: tiles[at] for at in tree.tiles_of_run(start, end)}
    run = tree.run(start, end, needed)
    assert run.hashes == whole.prove_range(start, end).hashes
    assert [key for _, key in run.entries] == list(range(start + 1, end + 1))
    assert len(list(complement(start, end, size))) == len(run.hashes)


def test_one_record_is_found_by_its_place_and_only_there() -> None:
    entries = [entry(who, 7) for who in range(2, 402, 2)]
    tree, tiles = build(entries, 1000)
    for at, one in enumerate(entries):
        place = place_of(one.owner, one.number)
        assert tree.index_of(place, tiles[tree.tile_of(place)]) == at
    for missing in (place_of(owner(1), 7), place_of(owner(3), 7), place_of(owner(2), 8)):
        assert tree.index_of(missing, tiles[tree.tile_of(missing)]) is None


def test_a_run_of_one_owner_longer_than_tiles_is_whole() -> None:
    entries = publication([(1, 0), *((2, number) for number in range(3 * TILE)), (3, 0)])
    tree, tiles = build(entries, 100)
    assert tree.owner_bounds(owner(2), tiles) == (1, 1 + 3 * TILE)
    assert tree.tiles_of_owner(owner(2)) == range(4)


def test_an_empty_publication_has_a_root_and_no_tiles() -> None:
    tree, tiles = build([], 1)
    assert tree.head == TreeHead(0, EMPTY_ROOT)
    assert not tiles
    assert tree.tiles_of_owner(owner(1)) == range(0)
    assert tree.owner_bounds(owner(1), {}) == (0, 0)


def test_a_directory_that_does_not_lead_to_the_root_is_refused() -> None:
    entries = [entry(1, number) for number in range(200)]
    packed = b"".join(pack_entry(one, 1) for one in entries)
    builder = TileBuilder()
    builder.add(packed)
    builder.finish()
    directory = bytearray(builder.directory)
    directory[-1] ^= 1
    with pytest.raises(StoreDamagedError):
        TileTree(builder.head(), bytes(directory))
    with pytest.raises(StoreDamagedError):
        TileTree(builder.head(), builder.directory[:-72])


def test_an_entry_is_packed_and_unpacked_whole() -> None:
    one = entry(5, 2**64 - 1)
    assert unpack_entry(pack_entry(one, 2**63 - 1)) == (one, 2**63 - 1)


@given(st.sets(st.integers(0, 80)), st.dictionaries(st.integers(0, 80), st.booleans()))
def test_changes_give_what_a_dictionary_gives(base: set[int], changes: dict[int, bool]) -> None:
    before = {number: entry(1, number) for number in sorted(base)}
    after = dict(before)
    lines = []
    fits = True
    for number, withdrawn in sorted(changes.items()):
        if withdrawn:
            fits = fits and after.pop(number, None) is not None
            lines.append(pack_withdrawal(owner(1), number))
        else:
            after[number] = entry(1, number, salt=1)
            lines.append(pack_entry(after[number], 2))
    packed = b"".join(pack_entry(one, 1) for one in before.values())
    if not fits:
        with pytest.raises(DeltaError):
            apply_changes(packed, b"".join(lines))
        return
    changed = apply_changes(packed, b"".join(lines))
    found = [unpack_entry(changed[at : at + ENTRY])[0] for at in range(0, len(changed), ENTRY)]
    assert found == [after[number] for number in sorted(after)]
    assert bisect_left(found, (owner(1), 0), key=lambda one: (one.owner, one.number)) == 0

"""Merkle trees: the RFC's own numbers, and that no proof can be bent."""

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.crypto.merkle import (
    EMPTY_ROOT,
    InclusionProof,
    MerkleTree,
    RangeProof,
    StreamingRoot,
    TreeHead,
    leaf_hash,
    merkle_root,
    node_hash,
    verify_inclusion,
    verify_range,
)
from ledger.errors import LedgerError, MalformedError
from tests.vectors.files import vectors

VECTORS = vectors("merkle.json")

# Certificate Transparency's merkle_tree_test.cc: what every implementation of RFC 6962 is held to.
CT_DATA = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def leaves_of(size: int) -> list[bytes]:
    return [hashlib.sha256(b"leaf %d" % at).digest() for at in range(size)]


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[bytes], RangeProof, TreeHead]:
    """A run of leaves of some tree, with its proof and the tree's head."""
    size = draw(st.integers(1, 80))
    start = draw(st.integers(0, size - 1))
    end = draw(st.integers(start + 1, size))
    leaves = leaves_of(size)
    tree = MerkleTree.of(leaves)
    return leaves[start:end], tree.prove_range(start, end), tree.head()


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_certificate_transparency_roots() -> None:
    hashes = [leaf_hash(data) for data in CT_DATA]
    for size, root in enumerate(CT_ROOTS):
        assert merkle_root(hashes[:size]).hex() == root
        assert MerkleTree.of(hashes[:size]).head() == TreeHead(size, bytes.fromhex(root))


@pytest.mark.parametrize(("index", "size", "path"), CT_PATHS)
def test_certificate_transparency_audit_paths(index: int, size: int, path: list[str]) -> None:
    hashes = [leaf_hash(data) for data in CT_DATA[:size]]
    tree = MerkleTree.of(hashes)
    proof = tree.prove_inclusion(index)
    assert [part.hex() for part in proof.hashes] == path
    assert verify_inclusion(hashes[index], proof, tree.head()).hex() == CT_ROOTS[size]


def test_vectors_of_the_spec() -> None:
    data = [bytes.fromhex(one["data"][2:]) for one in VECTORS["leaves"]]
    hashes = [bytes.fromhex(one["leaf_hash"][2:]) for one in VECTORS["leaves"]]
    assert data == CT_DATA
    assert hashes == [leaf_hash(one) for one in data]
    roots = [bytes.fromhex(one["root"][2:]) for one in VECTORS["roots"]]
    assert [root.hex() for root in roots] == CT_ROOTS
    for one in VECTORS["inclusion"]:
        proof = InclusionProof(one["index"], one["size"], unhex(one["hashes"]))
        verify_inclusion(hashes[proof.index], proof, TreeHead(proof.size, roots[proof.size]))
    for one in VECTORS["ranges"]:
        run = RangeProof(one["start"], one["end"], one["size"], unhex(one["hashes"]))
        verify_range(hashes[run.start : run.end], run, TreeHead(run.size, roots[run.size]))


def unhex(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text[2:]) for text in texts)


@given(st.integers(0, 200))
def test_all_ways_to_a_root_are_the_definition(size: int) -> None:
    leaves = leaves_of(size)
    root = root_by_definition(leaves)
    stream = StreamingRoot()
    for leaf in leaves:
        stream.add(leaf)
    assert merkle_root(leaves) == root
    assert stream.head() == MerkleTree.of(leaves).head() == TreeHead(size, root)


@given(st.lists(st.integers(0, 70), max_size=8))
def test_leaves_may_come_in_any_runs(runs: list[int]) -> None:
    leaves, stream = leaves_of(sum(runs)), StreamingRoot()
    start = 0
    for run in runs:
        if run == 1:
            stream.add(leaves[start])
        else:
            stream.extend(leaves[start : start + run])
        start += run
        assert stream.head() == TreeHead(start, merkle_root(leaves[:start]))


def test_every_run_of_every_small_tree_verifies() -> None:
    for size in range(1, 20):
        leaves = leaves_of(size)
        tree = MerkleTree.of(leaves)
        for start in range(size):
            for end in range(start + 1, size + 1):
                proof = tree.prove_range(start, end)
                assert verify_range(leaves[start:end], proof, tree.head()) == tree.head().root


@given(runs(), st.data())
def test_a_flipped_bit_fails(
    run: tuple[list[bytes], RangeProof, TreeHead], data: st.DataObject
) -> None:
    leaves, proof, head = run
    at = data.draw(st.integers(0, len(leaves) + len(proof.hashes)))
    bit = data.draw(st.integers(0, 255))
    if at < len(leaves):
        leaves[at] = flip(leaves[at], bit)
    elif at < len(leaves) + len(proof.hashes):
        hashes = list(proof.hashes)
        hashes[at - len(leaves)] = flip(hashes[at - len(leaves)], bit)
        proof = msgspec.structs.replace(proof, hashes=tuple(hashes))
    else:
        head = TreeHead(head.size, flip(head.root, bit))
    with pytest.raises(LedgerError, match="another root"):
        verify_range(leaves, proof, head)


@given(runs(), st.integers(-90, 90).filter(bool))
def test_a_wrong_place_fails(run: tuple[list[bytes], RangeProof, TreeHead], shift: int) -> None:
    leaves, proof, head = run
    moved = msgspec.structs.replace(proof, start=proof.start + shift, end=proof.end + shift)
    with pytest.raises(LedgerError):
        verify_range(leaves, moved, head)


@given(runs(), st.integers(-90, 90).filter(bool))
def test_a_wrong_size_fails(run: tuple[list[bytes], RangeProof, TreeHead], change: int) -> None:
    leaves, proof, head = run
    other = msgspec.structs.replace(proof, size=proof.size + change)
    with pytest.raises(LedgerError, match="leaves"):
        verify_range(leaves, other, head)
    with pytest.raises(LedgerError, match="leaves"):
        verify_range(leaves, proof, TreeHead(head.size + change, head.root))


def test_control_a_root_without_its_size_does_not_tell_the_size() -> None:
    """Why heads and not roots are verified against: here four leaves pass for three."""
    leaves = leaves_of(4)
    tree = MerkleTree.of(leaves)
    claimed = RangeProof(0, 2, 3, tree.prove_range(0, 2).hashes)
    with pytest.raises(LedgerError, match="the tree has 4"):
        verify_range(leaves[:2], claimed, tree.head())
    verify_range(leaves[:2], claimed, TreeHead(3, tree.head().root))


@given(runs(), st.data())
def test_a_dropped_added_or_swapped_leaf_fails(
    run: tuple[list[bytes], RangeProof, TreeHead], data: st.DataObject
) -> None:
    leaves, proof, head = run
    at = data.draw(st.integers(0, len(leaves) - 1))
    foreign = hashlib.sha256(b"foreign").digest()
    shorter = leaves[:at] + leaves[at + 1 :]
    longer = [*leaves[:at], foreign, *leaves[at:]]
    for changed in (shorter, longer):
        for start in (proof.start, proof.start + len(leaves) - len(changed)):
            fitted = msgspec.structs.replace(proof, start=start, end=start + len(changed))
            with pytest.raises(LedgerError):
                verify_range(changed, fitted, head)
            with pytest.raises(LedgerError):
                verify_range(changed, proof, head)
    if len(leaves) > 1:
        leaves[0], leaves[-1] = leaves[-1], leaves[0]
        with pytest.raises(LedgerError, match="another root"):
            verify_range(leaves, proof, head)


@given(runs(), st.data())
def test_a_missing_or_surplus_hash_fails(
    run: tuple[list[bytes], RangeProof, TreeHead], data: st.DataObject
) -> None:
    leaves, proof, head = run
    at = data.draw(st.integers(0, len(proof.hashes)))
    longer = (*proof.hashes[:at], bytes(32), *proof.hashes[at:])
    with pytest.raises(LedgerError, match="more hashes"):
        verify_range(leaves, msgspec.structs.replace(proof, hashes=longer), head)
    if at < len(proof.hashes):
        shorter = proof.hashes[:at] + proof.hashes[at + 1 :]
        with pytest.raises(LedgerError, match="fewer hashes"):
            verify_range(leaves, msgspec.structs.replace(proof, hashes=shorter), head)


def test_a_node_does_not_pass_for_a_leaf_of_a_smaller_tree() -> None:
    leaves = leaves_of(4)
    head = MerkleTree.of(leaves).head()
    nodes = [node_hash(*leaves[:2]), node_hash(*leaves[2:])]
    with pytest.raises(LedgerError, match="the tree has 4"):
        verify_inclusion(nodes[0], InclusionProof(0, 2, (nodes[1],)), head)


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33)])
def test_hashes_of_another_length_are_refused(bad: bytes) -> None:
    tree = MerkleTree.of(leaves_of(2))
    with pytest.raises(LedgerError, match="32 bytes"):
        verify_inclusion(bad, tree.prove_inclusion(0), tree.head())
    with pytest.raises(LedgerError, match="32 bytes"):
        verify_inclusion(tree.leaf(0), InclusionProof(0, 2, (bad,)), tree.head())
    with pytest.raises(MalformedError, match="32"):
        StreamingRoot().add(bad)
    stream = StreamingRoot()
    with pytest.raises(MalformedError, match="32"):
        stream.extend([tree.leaf(0), bad])
    assert stream.head().size == 0


@pytest.mark.parametrize(("start", "end"), [(0, 0), (2, 1), (-1, 2), (0, 4), (3, 3)])
def test_runs_that_are_none_are_refused(start: int, end: int) -> None:
    tree = MerkleTree.of(leaves_of(3))
    with pytest.raises(MalformedError, match="no run"):
        tree.prove_range(start, end)
    leaves = [bytes(32)] * max(end - start, 0)
    with pytest.raises(LedgerError, match="no run"):
        verify_range(leaves, RangeProof(start, end, 3, ()), tree.head())


@pytest.mark.parametrize("size", [1, 2, 5])
def test_each_leaf_of_a_tree_is_at_its_place_and_none_is_beyond(size: int) -> None:
    leaves = leaves_of(size)
    tree = MerkleTree.of(leaves)
    assert [tree.leaf(index) for index in range(size)] == leaves
    for index in (-1, size):
        with pytest.raises(MalformedError, match=f"the tree of {size} leaves has no leaf {index}"):
            tree.leaf(index)


def test_the_empty_tree() -> None:
    tree = MerkleTree.of([])
    assert tree.head() == TreeHead(0, EMPTY_ROOT)
    assert tree.levels == ()
    with pytest.raises(MalformedError, match="no leaf"):
        tree.leaf(0)


def test_stored_levels_give_the_same_tree_and_wrong_ones_are_refused() -> None:
    tree = MerkleTree.of(leaves_of(11))
    again = MerkleTree([memoryview(level) for level in tree.levels])
    assert again.head() == tree.head()
    assert again.prove_range(3, 9) == tree.prove_range(3, 9)
    with pytest.raises(MalformedError, match="levels"):
        MerkleTree(tree.levels[:-1])
    with pytest.raises(MalformedError, match="32 bytes each"):
        MerkleTree.build(bytes(33))


def test_a_million_leaves_fit_in_64_mib() -> None:
    size = 1_000_000
    tree = MerkleTree.build(bytes(32 * size))
    assert sum(map(len, tree.levels)) < 64 * 2**20
    assert len(tree.prove_inclusion(777_777).hashes) == 20


def test_a_streaming_root_keeps_one_hash_for_each_bit_of_the_size() -> None:
    stream = StreamingRoot()
    for count in range(1, 1025):
        stream.add(bytes(32))
        assert len(stream._subtrees) == count.bit_count()

"""Receipts are where a block's header says, headers make their hashes, and seals count by the quorum."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain import eth_methods
from ledger.crypto.signatures import address_of, sign
from ledger.errors import LedgerError
from ledger.evidence import headers as evidence_blocks
from ledger.evidence.document import Check, Evidence, EvidenceCheckError
from ledger.evidence.headers import (
    EMPTY_ROOT,
    Consensus,
    ListTrie,
    quorum,
    read_header,
    read_receipt,
    verify_item,
)
from ledger.evidence.verifier import Anchors, verify_evidence
from ledger.hexstr import keccak256
from scripts.scenario import Chain
from tests.support.evidence import Case, Counter, case

EXTRA: Final = 12
VALIDATORS: Final = tuple(keccak256(b"validator %d" % number) for number in range(4))
ADDRESSES: Final = tuple(sorted(map(address_of, VALIDATORS)))

items = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=40)


@given(items)
def test_each_item_is_proven_and_nothing_else_is(values: list[bytes]) -> None:
    trie = ListTrie(values)
    for place, value in enumerate(values):
        proof = trie.prove(place)
        assert verify_item(trie.root, place, proof) == value
        for bad in (proof[:-1], (*proof, proof[-1]), proof[::-1] if len(proof) > 1 else ()):
            with pytest.raises(LedgerError):
                verify_item(trie.root, place, bad)
        other = (place + 1) % len(values)
        # Small nodes stand inside their parents: then one proof is good for several places.
        with suppress(LedgerError):
            assert verify_item(trie.root, other, proof) == values[other]
    with pytest.raises(LedgerError):
        trie.prove(len(values))


@given(items, items)
def test_two_lists_have_one_root_only_if_they_are_the_same(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (ListTrie(one).root == ListTrie(other).root) == (one == other)


def test_the_empty_list_has_the_root_that_every_chain_has(chain: Chain) -> None:
    genesis = chain.rpc.send(evidence_blocks.block(0))
    assert genesis is not None
    assert read_header(genesis.header, Consensus.PLAIN).receipts_root == EMPTY_ROOT
    assert ListTrie(()).root == EMPTY_ROOT


def test_a_nodes_receipts_make_the_root_in_its_header(chain: Chain) -> None:
    (authorization,) = chain.granted(1, chain.personal_terms(), max_uses=200)
    bank = chain.parties.bank
    chain.record([chain.request(bank, authorization) for _ in range(30)])
    newest = chain.rpc.send(eth_methods.block_number())
    several = 0
    for number in range(newest + 1):
        answer = chain.rpc.send(evidence_blocks.block(number))
        receipts = chain.rpc.send(evidence_blocks.receipts(number))
        assert answer is not None
        assert receipts is not None
        header = read_header(answer.header, answer.consensus)
        assert ListTrie(receipts).root == header.receipts_root
        several += len(receipts) > 1
    assert several


def test_bytes_that_are_no_header_and_no_receipt_are_refused(chain: Chain) -> None:
    answer = chain.rpc.send(evidence_blocks.block(1))
    assert answer is not None
    members = rlp.decode(answer.header)
    for bad in (b"", b"\xc0", answer.header[:-1], rlp.encode([*members, b"", b""])):
        with pytest.raises(LedgerError):
            read_header(bad, Consensus.PLAIN)
    with pytest.raises(LedgerError):
        read_header(answer.header, Consensus.QBFT)
    for bad in (b"", b"\x02", b"\x02\xc0", b"\xc3\x01\x01\x01"):
        with pytest.raises(LedgerError):
            read_receipt(bad)


# QBFT


def test_the_quorum_is_two_thirds_rounded_up() -> None:
    assert [quorum(count) for count in range(1, 8)] == [1, 2, 2, 3, 4, 4, 5]


def sealed(
    header: bytes, keys: Sequence[bytes], *, round_: int = 1, listed: Sequence[bytes] = ADDRESSES
) -> bytes:
    """A block as QBFT's validators agree on it: `header` with their seals in its extra data."""

    def with_parts(*parts: Any) -> bytes:
        members = rlp.decode(header)
        extra = rlp.encode([b"\x00" * 32, list(listed), [], *parts])
        return bytes(rlp.encode([*members[:EXTRA], extra, *members[EXTRA + 1 :]]))

    digest = keccak256(with_parts(round_, []))
    seals = []
    for key in keys:
        signature = sign(digest, key)
        seals.append(signature[:-1] + bytes([signature[-1] - 27]))
    return with_parts(round_, seals)


@pytest.fixture(scope="module")
def used(chain: Chain) -> Case:
    return case(Counter(chain))


def on_qbft(used: Case, keys: Sequence[bytes]) -> tuple[Evidence, Any]:
    """The same evidence, as if the chain had been QBFT's; and the deployment on that chain."""
    evidence = used.make().evidence
    first = used.desk.chain.rpc.send(evidence_blocks.block(0))
    assert first is not None
    genesis = sealed(first.header, ())
    sealed_blocks = tuple(
        msgspec.structs.replace(block, header=sealed(block.header, keys))
        for block in evidence.blocks
    )
    changed = msgspec.structs.replace(
        evidence, consensus=Consensus.QBFT, genesis=genesis, blocks=sealed_blocks
    )
    genesis_hash = read_header(genesis, Consensus.QBFT).hash
    return changed, msgspec.structs.replace(used.deployment, genesis_hash=genesis_hash)


def test_seals_of_the_first_blocks_validators_vouch_by_themselves(used: Case) -> None:
    evidence, deployment = on_qbft(used, VALIDATORS[:3])
    found = verify_evidence(evidence, deployment, Anchors())
    assert set(found.checked) == set(Check)


def test_a_seal_too_few_or_of_somebody_else_or_twice_vouches_for_nothing(used: Case) -> None:
    stranger = keccak256(b"stranger")
    for keys in (
        VALIDATORS[:2],
        (*VALIDATORS[:2], stranger),
        (*VALIDATORS[:2], VALIDATORS[0]),
    ):
        evidence, deployment = on_qbft(used, keys)
        with pytest.raises(EvidenceCheckError) as raised:
            verify_evidence(evidence, deployment, Anchors())
        assert raised.value.check is Check.ANCHOR


def test_the_first_block_must_be_the_deployments(used: Case) -> None:
    evidence, deployment = on_qbft(used, VALIDATORS)
    with pytest.raises(EvidenceCheckError) as raised:
        verify_evidence(evidence, used.deployment, Anchors())
    assert raised.value.check is Check.ANCHOR
    without = msgspec.structs.replace(evidence, genesis=None)
    with pytest.raises(EvidenceCheckError):
        verify_evidence(without, deployment, Anchors())
    named = Anchors(validators=frozenset(ADDRESSES))
    assert verify_evidence(without, deployment, named).unchecked == ()


def test_validators_that_the_verifier_names_count_instead_of_the_first_ones(used: Case) -> None:
    evidence, deployment = on_qbft(used, VALIDATORS[:3])
    others = Anchors(validators=frozenset(address_of(keccak256(b"%d" % n)) for n in range(4)))
    with pytest.raises(EvidenceCheckError) as raised:
        verify_evidence(evidence, deployment, others)
    assert raised.value.check is Check.ANCHOR


def test_neither_seals_nor_round_change_a_blocks_hash(used: Case) -> None:
    header = used.make().evidence.blocks[0].header
    hashes = {
        read_header(sealed(header, keys, round_=round_), Consensus.QBFT).hash
        for keys in ((), VALIDATORS)
        for round_ in (0, 1, 300)
    }
    assert len(hashes) == 1
    other = read_header(sealed(header, (), listed=ADDRESSES[:3]), Consensus.QBFT).hash
    assert other not in hashes

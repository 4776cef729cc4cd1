"""Evidence of one access, from a node and the maker's documents.

The node gives everything that is on chain; the signed request, the link and the released records come from
a gateway's journal or from the consumer's receipt. Evidence is verified before it is returned, so nobody is
handed a file that does not hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from eth_abi.exceptions import DecodingError

from ledger import queries
from ledger.abi_decoder import decode_abi
from ledger.chain import Finality
from ledger.contracts import Approval
from ledger.deployment import Deployment
from ledger.errors import SigningError
from ledger.events import GRANT_TERMS, Accessed, Recorded, with_timestamp
from ledger.events.decoding import RECORDED_TOPIC, EventDecoder
from ledger.evidence import blocks
from ledger.evidence.collecting import Collected, Collector
from ledger.evidence.document import (
    MOST_BYTES,
    Evidence,
    EvidenceBlock,
    EvidenceCheckError,
    EvidenceRelease,
    NoEvidenceError,
    ProvenReceipt,
    encode_evidence,
)
from ledger.evidence.patricia import ListTrie
from ledger.evidence.verifying import Anchors, VerifiedEvidence, verify_evidence
from ledger.exchange import SignedLink, Submission
from ledger.hexes import ZERO_WORD, to_hex
from ledger.log_reader import LogReader, logs_between
from ledger.replay.journals import access_id
from ledger.rpc import Rpc
from ledger.signing import recover
from ledger.typed_data import SubjectLink, digest, struct_hash

_SELECTOR: Final = 4
_AT_ONCE: Final = 32
"""Blocks whose receipts are held in memory together: a full block's take about a megabyte."""


class Documents(msgspec.Struct, frozen=True):
    """What the maker has of an access, beside what is on chain."""

    submission: Submission
    transaction: bytes
    """In which it was recorded: hash."""
    sequence: int
    statement: str | None = None
    link: SignedLink | None = None
    release: EvidenceRelease | None = None


class MadeEvidence(msgspec.Struct, frozen=True):
    """Evidence, and what it proves to somebody who trusts the maker's node."""

    evidence: Evidence
    verified: VerifiedEvidence


def make_evidence(
    rpc: Rpc, deployment: Deployment, documents: Documents, finality: Finality | None = None
) -> MadeEvidence:
    """Make evidence of one access.

    Raises:
        NoEvidenceError: the node does not have the access in a final block, or not what it takes to
            prove it; or that is more than a file may have.
        EvidenceCheckError: the documents are not those of the access.
        RpcError: the node cannot be asked.
    """
    return _Maker(rpc, deployment, documents, finality or Finality.depth(0)).make()


class _Maker:
    def __init__(
        self, rpc: Rpc, deployment: Deployment, documents: Documents, finality: Finality
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._documents = documents
        self._finality = finality
        self._contracts = deployment.contracts

    def make(self) -> MadeEvidence:
        receipt = self._receipt()
        access, first = self._access(receipt)
        release = self._documents.release
        collected = Collector(self._rpc, self._deployment, access).collect(
            None if release is None else release.publication, self._link_signers()
        )
        on_top = range(access.block.number, access.block.number + (self._finality.blocks or 0) + 1)
        places = {*collected.places, (receipt.block_number, receipt.transaction_hash)}
        evidence_blocks, consensus = self._blocks(places, on_top)
        evidence = Evidence(
            chain_id=self._deployment.chain_id,
            contracts=msgspec.structs.astuple(self._contracts),
            consensus=consensus,
            genesis=self._genesis(consensus),
            blocks=evidence_blocks,
            request=self._documents.submission.request,
            signature=self._documents.submission.signature,
            sequence=access.sequence,
            head_before=self._head_before(receipt, first),
            approval=self._approval(collected),
            statement=self._documents.statement if collected.granted_in else None,
            link=self._documents.link,
            release=release,
        )
        if len(encode_evidence(evidence)) > MOST_BYTES:
            raise _too_large()
        return self._verified(evidence)

    # The access

    def _receipt(self) -> queries.Receipt:
        receipt = self._rpc.send(queries.receipt(self._documents.transaction))
        if receipt is None:
            raise NoEvidenceError(f"no transaction {to_hex(self._documents.transaction)}")
        newest = self._rpc.send(queries.block(self._finality.tag))
        if newest is None or not self._finality.covers(receipt.block_number, newest):
            raise NoEvidenceError("the access is not in a final block yet: try again")
        return receipt

    def _access(self, receipt: queries.Receipt) -> tuple[Accessed, Accessed]:
        """Return the access, and the first access of the recorder's call."""
        ours = to_hex(self._contracts.access_log)
        # Decisions take times from headers, so what the node says of them here does not matter.
        logs = [with_timestamp(log, 0) for log in receipt.logs if log.address == ours]
        wanted = (struct_hash(self._documents.submission.request), self._documents.sequence)
        first: Accessed | None = None
        for event in EventDecoder(self._contracts).decode_all(logs):
            if isinstance(event, Recorded):
                first = None
            elif isinstance(event, Accessed):
                first = first or event
                if (access_id(event), event.sequence) == wanted:
                    return event, first
        raise NoEvidenceError(f"the transaction does not have access {wanted[1]} of this request")

    def _head_before(self, receipt: queries.Receipt, first: Accessed) -> bytes:
        """Return the running hash before the call: that with which the call before it ended."""
        if first.sequence == 1:
            return ZERO_WORD
        last, span = receipt.block_number, 64
        decoder = EventDecoder(self._contracts)
        reader = LogReader((self._contracts.access_log,), ((RECORDED_TOPIC,),))
        while last >= self._deployment.block_number:
            start = max(self._deployment.block_number, last - span)
            for part in logs_between(self._rpc, reader, start, last):
                for event in decoder.decode_all(part.logs):
                    if isinstance(event, Recorded) and event.sequence == first.sequence - 1:
                        return event.head
            last, span = start - 1, span * 4
        raise NoEvidenceError(f"the node does not have the access before {first.sequence}")

    # What is around it

    def _link_signers(self) -> tuple[bytes, ...]:
        link = self._documents.link
        if link is None:
            return ()
        signed = digest(link.link, self._deployment.domain_of(SubjectLink))
        try:
            return (recover(signed, link.signature),)
        except SigningError:
            return ()  # the check of the link says so

    def _approval(self, collected: Collected) -> Approval | None:
        """Return who signed and the signature, as they were relayed; None where a contract relayed it."""
        if collected.granted_in is None:
            return None
        data = self._rpc.send(blocks.transaction_input(collected.granted_in)) or b""
        try:
            _terms, (signer, signature) = decode_abi(
                (GRANT_TERMS, "(bytes,bytes)"), data[_SELECTOR:]
            )
        except (DecodingError, ValueError):
            return None
        return Approval(bytes(signer), bytes(signature))

    # The blocks

    def _blocks(
        self, places: Iterable[tuple[int, bytes]], on_top: Iterable[int]
    ) -> tuple[tuple[EvidenceBlock, ...], blocks.Consensus]:
        wanted: dict[int, set[bytes]] = {number: set() for number in on_top}
        for number, transaction in places:
            wanted.setdefault(number, set()).add(transaction)
        numbers = sorted(wanted)
        proven, kinds, size = [], set(), 0
        for start in range(0, len(numbers), _AT_ONCE):
            part = {number: wanted[number] for number in numbers[start : start + _AT_ONCE]}
            for block, consensus in self._proven_blocks(part):
                kinds.add(consensus)
                proven.append(block)
                size += _size(block)
            if size > MOST_BYTES:
                raise _too_large()
        return tuple(proven), kinds.pop()

    def _proven_blocks(
        self, wanted: Mapping[int, set[bytes]]
    ) -> Iterator[tuple[EvidenceBlock, blocks.Consensus]]:
        """Ask for blocks, by rising number, and for what proves the transactions wanted of each."""
        answers = self._rpc.send_many([blocks.block(number) for number in wanted])
        proving = [number for number, transactions in wanted.items() if transactions]
        receipts = dict(
            zip(proving, self._rpc.send_many([blocks.receipts(n) for n in proving]), strict=True)
        )
        for (number, transactions), answer in zip(wanted.items(), answers, strict=True):
            if answer is None:
                raise NoEvidenceError(f"the node does not have block {number}")
            proven = _proven(answer, receipts.get(number), transactions)
            yield EvidenceBlock(answer.header, proven), answer.consensus

    def _genesis(self, consensus: blocks.Consensus) -> bytes | None:
        if consensus is blocks.Consensus.PLAIN:
            return None
        first = self._rpc.send(blocks.block(0))
        return None if first is None else first.header

    def _verified(self, evidence: Evidence) -> MadeEvidence:
        """Verify what was made, as somebody who trusts this node."""
        headers = [blocks.read_header(each.header, evidence.consensus) for each in evidence.blocks]
        anchors = Anchors(hashes=frozenset(header.hash for header in headers))
        try:
            return MadeEvidence(evidence, verify_evidence(evidence, self._deployment, anchors))
        except EvidenceCheckError:
            if evidence.approval is None:
                raise
        # A person's wallet may be a contract: then only the chain can say that it signed.
        plain = msgspec.structs.replace(evidence, approval=None)
        return MadeEvidence(plain, verify_evidence(plain, self._deployment, anchors))


def _proven(
    answer: blocks.BlockAnswer, receipts: Sequence[bytes] | None, wanted: set[bytes]
) -> tuple[ProvenReceipt, ...]:
    if not wanted:
        return ()
    header = blocks.read_header(answer.header, answer.consensus)
    trie = ListTrie(receipts or ())
    if receipts is None or trie.root != header.receipts_root:
        raise NoEvidenceError(f"the node's receipts are not those of block {header.number}")
    places = [place for place, hash_ in enumerate(answer.transactions) if hash_ in wanted]
    return tuple(ProvenReceipt(place, trie.prove(place)) for place in places)


def _size(block: EvidenceBlock) -> int:
    """Return about how many bytes a block takes in the file: two digits a byte."""
    nodes = (node for receipt in block.receipts for node in receipt.proof)
    return 2 * (len(block.header) + sum(map(len, nodes)))


def _too_large() -> NoEvidenceError:
    most = f"{MOST_BYTES / 2**20:g} MiB"
    return NoEvidenceError(
        f"what proves the access is more than {most}: an exported trail proves it"
    )

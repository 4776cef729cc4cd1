"""Making evidence of one access, from a node and what the maker has of the access."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from eth_abi.exceptions import DecodingError

from ledger.api import SignedLink, Submission
from ledger.chain import eth_methods
from ledger.chain import events as happened
from ledger.chain.contract_calls import Approval
from ledger.chain.decoders import decode_abi
from ledger.chain.deployment import Deployment
from ledger.chain.eth_methods import EventError, with_timestamp
from ledger.chain.events import (
    GRANT_TERMS,
    Accessed,
    Applied,
    Event,
    Granted,
    OrderIssued,
    PurposeFieldsBound,
    Recorded,
)
from ledger.chain.events.decoder import (
    ACCESSED_TOPIC,
    ITEM_ACCESSED_TOPIC,
    PLANS,
    RECORDED_TOPIC,
    EventDecoder,
    plan_for,
)
from ledger.chain.events.identifiers import access_id, agreement_id
from ledger.chain.finality import Finality
from ledger.chain.log_reader import LogReader, logs_between
from ledger.chain.rpc import Rpc
from ledger.crypto.signatures import recover
from ledger.errors import SigningError
from ledger.evidence import headers
from ledger.evidence.document import (
    MAX_BYTES,
    Evidence,
    EvidenceBlock,
    EvidenceCheckError,
    EvidenceRelease,
    NoEvidenceError,
    ProvenReceipt,
    encode_evidence,
)
from ledger.evidence.headers import ListTrie
from ledger.evidence.verifier import Anchors, VerifiedEvidence, verify_evidence
from ledger.hexstr import to_hex
from ledger.model import ZERO_WORD, Change, Outcome
from ledger.typed_data import SubjectLink, digest, struct_hash

NEWEST_USES: Final = 64
"""Earlier uses of an authorization in one file: the newest, which say whether it is too soon. Where an
access was denied because none was left, all are in the file, since their number decided."""

_WORD: Final = 32
_ELSEWHERE: Final = frozenset(
    (
        *(happened.AdmissionAnnounced, happened.AdmissionVetoed, happened.AdmissionRetracted),
        *(happened.ChangeAnnounced, happened.ChangeVetoed, happened.ChangeRetracted),
        *(happened.ChangeMade, happened.ContractAnnounced, happened.RestrictionAppealed),
        *(happened.RecorderNamed, happened.RecorderDismissed, happened.EncryptionKeySet),
        *(happened.SupervisorAppointed, happened.SupervisorDismissed),
        *(happened.Published, happened.RecordErased),
    )
)
"""Events that no decision rests on, and those that are asked for by themselves."""
_TOPICS: Final = tuple(
    plan.topic for plans in PLANS.values() for plan in plans if plan.event not in _ELSEWHERE
)
_ISSUED: Final = plan_for(OrderIssued).topic
_CHANGED: Final = plan_for(happened.ChangeMade).topic
_SUCCESSOR: Final = int(Change.SUCCESSOR).to_bytes(_WORD, "big")
_PUBLISHED: Final = plan_for(happened.Published).topic
_ERASED: Final = plan_for(happened.RecordErased).topic

_Brings = Callable[[Any, Accessed], tuple[bytes, ...]]
_BRINGS: Final[Mapping[type[Event], _Brings]] = MappingProxyType(
    {
        Granted: lambda event, _: (
            event.subject,
            event.terms.dataset,
            event.terms.purpose,
            agreement_id(event.terms.consumer, event.terms.dataset, event.terms.purpose),
        ),
        happened.AgreementApproved: lambda event, _: (event.application,),
        Applied: lambda event, _: (event.consumer, event.dataset, event.purpose),
        happened.DatasetRegistered: lambda event, _: (event.provider,),
        OrderIssued: lambda event, access: (
            event.order,
            event.dataset,
            event.terms.purpose,
            agreement_id(access.consumer, event.dataset, event.terms.purpose),
        ),
        happened.SubjectRegistered: lambda event, _: (event.registrar,),
        happened.ConsumerRestricted: lambda event, _: (event.regulator,),
        happened.RestrictionLifted: lambda event, _: (event.regulator,),
    }
)


class Collected(msgspec.Struct, frozen=True):
    """Where the events stand that the decision rests on."""

    places: frozenset[tuple[int, bytes]]
    """Number of the block, hash of the transaction."""
    granted_in: bytes | None
    """Transaction in which the authorization was granted, if the basis is one."""


class Collector:
    """Looks for the events that an access's decision rests on, up to the access."""

    def __init__(self, rpc: Rpc, deployment: Deployment, access: Accessed) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._contracts = deployment.contracts
        self._access = access
        self._decoder = EventDecoder(deployment.contracts)
        self._found: list[Event] = []
        self._granted_in: bytes | None = None
        self._dataset = access.basis

    def collect(self, publication: int | None, parties: Sequence[bytes]) -> Collected:
        """Find the events.

        Args:
            publication: Version of the dataset that was released, if any.
            parties: Addresses whose roles matter too.

        Raises:
            NoEvidenceError: the node's logs are not the contracts'.
            RpcError: the node cannot be asked.
        """
        access = self._access
        asked: set[bytes] = set()
        wanted = {access.basis, access.consumer, *parties}
        while wanted:
            asked |= wanted
            brought: set[bytes] = set()
            for event in self._named(wanted):
                brought |= set(self._brought(event))
            wanted = brought - asked
        if self._granted_in is not None or access.outcome is Outcome.DUPLICATE_REQUEST:
            self._earlier_uses()
        if publication is not None:
            versions = (publication, publication + 1)  # the second says whether the first was old
            numbers = [version.to_bytes(_WORD, "big") for version in versions]
            self._ask((_PUBLISHED,), (self._dataset,), numbers)
            self._ask((_ERASED,), (self._dataset,))
        # A purpose may be bound to many datasets; those of others say nothing here.
        return Collected(
            frozenset(
                (event.block.number, event.transaction)
                for event in self._found
                if not isinstance(event, PurposeFieldsBound) or event.dataset == self._dataset
            ),
            self._granted_in,
        )

    def _named(self, ids: set[bytes]) -> Iterator[Event]:
        """Ask for events that are indexed under ids, for orders by their dataset, and for who succeeded whom."""
        words = tuple(id_.rjust(_WORD, b"\0") for id_ in sorted(ids))
        yield from self._ask(_TOPICS, words)
        yield from self._ask((_ISSUED,), None, words)
        yield from self._ask((_CHANGED,), (_SUCCESSOR,), words)

    def _brought(self, event: Event) -> tuple[bytes, ...]:
        if isinstance(event, Granted):
            self._granted_in = event.transaction
            self._dataset = event.terms.dataset
        elif isinstance(event, Applied | OrderIssued):
            self._dataset = event.dataset
        brings = _BRINGS.get(type(event))
        return () if brings is None else brings(event, self._access)

    def _earlier_uses(self) -> None:
        access = self._access
        topics = (ACCESSED_TOPIC, ITEM_ACCESSED_TOPIC)
        events = self._logs((self._contracts.access_log,), topics, (access.basis,))
        before = [e for e in events if isinstance(e, Accessed) and e.sequence < access.sequence]
        uses = [event for event in before if event.outcome is Outcome.ALLOWED]
        if access.outcome is not Outcome.USES_EXHAUSTED:
            uses = uses[-NEWEST_USES:]
        same = [e for e in before if (e.consumer, e.nonce) == (access.consumer, access.nonce)]
        self._found += [*uses, *same]

    def _ask(self, *topics: Sequence[bytes] | None) -> list[Event]:
        contracts = self._contracts
        others = (contracts.registry, contracts.catalogue)
        events = self._logs((*others, contracts.agreements, contracts.authorizations), *topics)
        self._found += events
        return events

    def _logs(self, addresses: Sequence[bytes], *topics: Sequence[bytes] | None) -> list[Event]:
        """Ask for events up to the access. Decisions take times from headers, not from these."""
        access, first = self._access, self._deployment.block_number
        reader = LogReader(addresses, topics)
        parts = logs_between(self._rpc, reader, first, access.block.number)
        try:
            events = [event for part in parts for event in self._decoder.decode_all(part.logs)]
        except EventError as error:
            raise NoEvidenceError(f"the node's logs are not the contracts': {error}") from error
        end = (access.block.number, access.log_index)
        return [event for event in events if (event.block.number, event.log_index) <= end]


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
        if len(encode_evidence(evidence)) > MAX_BYTES:
            raise _too_large()
        return self._verified(evidence)

    # The access

    def _receipt(self) -> eth_methods.Receipt:
        receipt = self._rpc.send(eth_methods.receipt(self._documents.transaction))
        if receipt is None:
            raise NoEvidenceError(f"no transaction {to_hex(self._documents.transaction)}")
        newest = self._rpc.send(eth_methods.block(self._finality.tag))
        if newest is None or not self._finality.covers(receipt.block_number, newest.number):
            raise NoEvidenceError("the access is not in a final block yet: try again")
        return receipt

    def _access(self, receipt: eth_methods.Receipt) -> tuple[Accessed, Accessed]:
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

    def _head_before(self, receipt: eth_methods.Receipt, first: Accessed) -> bytes:
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
        data = self._rpc.send(headers.transaction_input(collected.granted_in)) or b""
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
    ) -> tuple[tuple[EvidenceBlock, ...], headers.Consensus]:
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
            if size > MAX_BYTES:
                raise _too_large()
        return tuple(proven), kinds.pop()

    def _proven_blocks(
        self, wanted: Mapping[int, set[bytes]]
    ) -> Iterator[tuple[EvidenceBlock, headers.Consensus]]:
        """Ask for blocks, by rising number, and for what proves the transactions wanted of each."""
        answers = self._rpc.send_many([headers.block(number) for number in wanted])
        proving = [number for number, transactions in wanted.items() if transactions]
        receipts = dict(
            zip(proving, self._rpc.send_many([headers.receipts(n) for n in proving]), strict=True)
        )
        for (number, transactions), answer in zip(wanted.items(), answers, strict=True):
            if answer is None:
                raise NoEvidenceError(f"the node does not have block {number}")
            proven = _proven(answer, receipts.get(number), transactions)
            yield EvidenceBlock(answer.header, proven), answer.consensus

    def _genesis(self, consensus: headers.Consensus) -> bytes | None:
        if consensus is headers.Consensus.PLAIN:
            return None
        first = self._rpc.send(headers.block(0))
        return None if first is None else first.header

    def _verified(self, evidence: Evidence) -> MadeEvidence:
        """Verify what was made, as somebody who trusts this node."""
        known = [headers.read_header(each.header, evidence.consensus) for each in evidence.blocks]
        anchors = Anchors(hashes=frozenset(header.hash for header in known))
        try:
            return MadeEvidence(evidence, verify_evidence(evidence, self._deployment, anchors))
        except EvidenceCheckError:
            if evidence.approval is None:
                raise
        # A person's wallet may be a contract: then only the chain can say that it signed.
        plain = msgspec.structs.replace(evidence, approval=None)
        return MadeEvidence(plain, verify_evidence(plain, self._deployment, anchors))


def _proven(
    answer: headers.BlockAnswer, receipts: Sequence[bytes] | None, wanted: set[bytes]
) -> tuple[ProvenReceipt, ...]:
    if not wanted:
        return ()
    header = headers.read_header(answer.header, answer.consensus)
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
    most = f"{MAX_BYTES / 2**20:g} MiB"
    return NoEvidenceError(
        f"what proves the access is more than {most}: an exported trail proves it"
    )

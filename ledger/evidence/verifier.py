"""Checks of evidence: offline, each by number and name (`Check`); the first to fail refuses.

The result lists, with the reason, each check that the file leaves no room for (values that the holder
keeps, the text of a statement): none is passed over in silence.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain import eth_methods
from ledger.chain.deployment import Deployment
from ledger.chain.events import Accessed, Event, Recorded
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import access_id
from ledger.chain.rpc import Rpc
from ledger.crypto.signatures import recover, verify_signer
from ledger.crypto.statement import case_number_in
from ledger.evidence.document import Check, Evidence, EvidenceBlock, EvidenceCheckError, failing
from ledger.evidence.facts import Facts
from ledger.evidence.headers import (
    Consensus,
    Header,
    log_text,
    quorum,
    read_header,
    read_receipt,
    verify_item,
)
from ledger.evidence.releases import VerifiedRecord, verify_release
from ledger.hexstr import HexError, from_hex, keccak256, to_hex
from ledger.links import link_bounds
from ledger.model import Outcome
from ledger.release_rules import verify_link, verify_signed
from ledger.replay.export import TrailError, TrailReader, open_trail, verify_header
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    SubjectLink,
    digest,
    digest_of,
    struct_hash,
)

_HASH: Final = 32


class Anchors(msgspec.Struct, frozen=True):
    """What the verifier trusts, from a source of its own; never from the evidence's sender."""

    hashes: frozenset[bytes] = frozenset()
    """Hashes of blocks: from a node, from a trail of one's own, as published somewhere."""
    validators: frozenset[bytes] = frozenset()
    """QBFT: addresses whose seals count. Empty: those of the deployment's first block."""


def node_hashes(rpc: Rpc, evidence: Evidence) -> frozenset[bytes]:
    """Return what a node says are the hashes of evidence's blocks.

    Raises:
        EvidenceCheckError: a header of the evidence is none.
        RpcError: the node cannot be asked.
    """
    with failing(Check.ANCHOR):
        headers = [read_header(block.header, evidence.consensus) for block in evidence.blocks]
    blocks = rpc.send_many([eth_methods.block(header.number) for header in headers])
    return frozenset(block.hash for block in blocks if block is not None)


def trail_hashes(path: Path, deployment: Deployment) -> frozenset[bytes]:
    """Return the hashes of all blocks that an exported trail has events of.

    They are the word of whoever made the file: neither the running hash nor a replay binds them. So a
    trail vouches for blocks only if it comes from a source that the verifier trusts, best from an
    export of its own. What is checked here is that each block has one hash; whether the trail is whole
    is for `replay_trail`.

    Raises:
        TrailError: it is no trail, another deployment's, or contradicts itself.
    """
    hashes: dict[int, str] = {}
    with open_trail(path) as file:
        reader = TrailReader(file)
        verify_header(reader.header, deployment)
        for batch in reader.batches():
            for number, hash_ in {(log.block_number, log.block_hash) for log in batch}:
                if hashes.setdefault(int(number, 16), hash_) != hash_:
                    raise TrailError(f"the trail has two blocks {int(number, 16)}")
    if reader.end is None:
        raise TrailError("the trail is cut off: its last line is missing")
    try:
        return frozenset(from_hex(hash_, _HASH) for hash_ in hashes.values())
    except HexError as error:
        raise TrailError(f"a block's hash is none: {error}") from error


class Open(msgspec.Struct, frozen=True):
    """A check that could not be made, because the file leaves out what it takes."""

    check: Check
    reason: str


class VerifiedEvidence(msgspec.Struct, frozen=True):
    """What evidence proves."""

    access: Accessed
    """With its block. Its place is that in the transaction; the transaction's hash is not proven, and
    zero."""
    access_id: bytes
    request: AccessRequest
    recorder: bytes
    """Address of the gateway that recorded it."""
    end: Recorded
    """End of the recorder's call: number of its last access, running hash after it."""
    facts: Facts
    """What the decision rests on."""
    statement: str | None
    case_number: str | None
    """As the statement has it."""
    owner: bytes | None
    """Of the records, as the identity authority ties it to the person."""
    publication: int | None
    records: tuple[VerifiedRecord, ...]
    checked: tuple[Check, ...]
    unchecked: tuple[Open, ...]


def verify_evidence(
    evidence: Evidence, deployment: Deployment, anchors: Anchors
) -> VerifiedEvidence:
    """Check evidence.

    Args:
        evidence: As read from its file.
        deployment: From a source that is trusted, not from the evidence's sender.
        anchors: Likewise.

    Raises:
        EvidenceCheckError: the first check that fails; it has the number and the name.
    """
    return _Verifier(evidence, deployment, anchors).run()


class _Verifier:
    def __init__(self, evidence: Evidence, deployment: Deployment, anchors: Anchors) -> None:
        self._evidence = evidence
        self._deployment = deployment
        self._anchors = anchors
        self._checked: list[Check] = [Check.FORM]
        self._open: list[Open] = []

    def run(self) -> VerifiedEvidence:
        evidence = self._evidence
        self._check_deployment()
        receipts = self._receipts(self._anchored())
        receipt, access = self._access(receipts)
        self._check_request()
        end = self._check_sequence(receipt, access)
        facts = self._decided([event for each in receipts for event in each], access)
        self._check_approval(facts)
        case_number = self._check_statement(facts)
        owner = self._linked(facts, access)
        records = self._released(facts, access, owner)
        return VerifiedEvidence(
            access=access,
            access_id=access_id(access),
            request=evidence.request,
            recorder=end.recorder,
            end=end,
            facts=facts,
            statement=evidence.statement,
            case_number=case_number,
            owner=owner,
            publication=None if evidence.release is None else evidence.release.publication,
            records=records,
            checked=tuple(self._checked),
            unchecked=tuple(self._open),
        )

    # The chain

    def _check_deployment(self) -> None:
        contracts = msgspec.structs.astuple(self._deployment.contracts)
        here = (self._deployment.chain_id, contracts)
        if (self._evidence.chain_id, self._evidence.contracts) != here:
            raise EvidenceCheckError(Check.DEPLOYMENT, "it is of another chain or other contracts")
        self._checked.append(Check.DEPLOYMENT)

    @contextmanager
    def _making(self, check: Check) -> Iterator[None]:
        """Note a check as made if nothing fails it."""
        with failing(check):
            yield
        self._checked.append(check)

    def _anchored(self) -> list[Header]:
        """Read the headers; each must be trusted, or be the parent of one that is known to be good."""
        evidence = self._evidence
        with failing(Check.ANCHOR):
            headers = [read_header(each.header, evidence.consensus) for each in evidence.blocks]
            validators = self._validators()
        if any(header.number >= following.number for header, following in pairwise(headers)):
            raise EvidenceCheckError(Check.ANCHOR, "the blocks are not in order")
        parent = b""
        for header in reversed(headers):
            if header.hash != parent and not self._is_trusted(header, validators):
                name = f"block {header.number} with the hash {to_hex(header.hash)}"
                problem = f"nothing that the verifier trusts vouches for {name}"
                raise EvidenceCheckError(Check.ANCHOR, problem)
            parent = header.parent
        self._checked.append(Check.ANCHOR)
        return headers

    def _validators(self) -> Collection[bytes]:
        """Return whose seals count; nobody's on a chain without seals."""
        genesis, consensus = self._evidence.genesis, self._evidence.consensus
        listed: Collection[bytes] = ()
        if genesis is not None:
            first = read_header(genesis, consensus)
            if first.hash != self._deployment.genesis_hash:
                problem = "the first block is not the deployment's"
                raise EvidenceCheckError(Check.ANCHOR, problem)
            listed = first.validators
        return self._anchors.validators or listed

    def _is_trusted(self, header: Header, validators: Collection[bytes]) -> bool:
        if header.hash in self._anchors.hashes:
            return True
        if self._evidence.consensus is not Consensus.QBFT or not validators:
            return False
        return len(header.sealers & frozenset(validators)) >= quorum(len(validators))

    def _receipts(self, headers: list[Header]) -> list[list[Event]]:
        """Return what the contracts said, receipt by receipt, in the order of the chain."""
        with self._making(Check.RECEIPT):
            return [
                events
                for header, block in zip(headers, self._evidence.blocks, strict=True)
                for events in self._receipts_of(header, block)
            ]

    def _receipts_of(self, header: Header, block: EvidenceBlock) -> Iterator[list[Event]]:
        contracts = self._deployment.contracts
        decoder, ours = EventDecoder(contracts), frozenset(msgspec.structs.astuple(contracts))
        places = [each.place for each in block.receipts]
        if places != sorted(set(places)) or any(place < 0 for place in places):
            problem = f"the receipts of block {header.number} are not in order"
            raise EvidenceCheckError(Check.RECEIPT, problem)
        for proven in block.receipts:
            receipt = read_receipt(verify_item(header.receipts_root, proven.place, proven.proof))
            yield [
                decoder.decode(log_text(header, place, log))
                for place, log in enumerate(receipt.logs)
                if log[0] in ours
            ]

    # The access

    def _access(self, receipts: list[list[Event]]) -> tuple[list[Event], Accessed]:
        request, sequence = struct_hash(self._evidence.request), self._evidence.sequence
        for receipt in receipts:
            for event in receipt:
                if not isinstance(event, Accessed) or event.sequence != sequence:
                    continue
                if access_id(event) == request:
                    self._checked.append(Check.ACCESS)
                    return receipt, event
        problem = f"no receipt has this request as access {sequence}"
        raise EvidenceCheckError(Check.ACCESS, problem)

    def _check_request(self) -> None:
        request = self._evidence.request
        domain = self._deployment.domain_of(request)
        with self._making(Check.REQUEST):
            verify_signed(request, struct_hash(request), self._evidence.signature, domain)

    def _check_sequence(self, receipt: list[Event], access: Accessed) -> Recorded:
        """Go from the running hash before the recorder's call to the one that the call ended with."""
        head, sequence, passed = self._evidence.head_before, None, False
        for event in receipt:
            if isinstance(event, Accessed):
                if sequence is not None and event.sequence != sequence + 1:
                    break
                head, sequence = keccak256(head + event.basis + event.data), event.sequence
                passed = passed or event is access
            elif isinstance(event, Recorded) and passed:
                if (event.sequence, event.head) != (sequence, head):
                    break
                self._checked.append(Check.SEQUENCE)
                return event
            elif isinstance(event, Recorded):
                head, sequence = event.head, None
        problem = "the accesses of its call do not lead from the running hash before to that after"
        raise EvidenceCheckError(Check.SEQUENCE, problem)

    def _decided(self, events: list[Event], access: Accessed) -> Facts:
        with self._making(Check.DECISION):
            facts = Facts(events, access, self._deployment.delays)
            if facts.outcome is not access.outcome:
                problem = f"recorded as {access.outcome.title}, decided {facts.outcome.title}"
                raise EvidenceCheckError(Check.DECISION, problem)
            return facts

    # The person

    def _check_approval(self, facts: Facts) -> None:
        approval, granted = self._evidence.approval, facts.granted
        if granted is None:
            _require_nothing(Check.APPROVAL, approval)
            return
        if approval is None:
            self._leave_open(Check.APPROVAL, "the signature is not in the file; the chain took it")
            return
        domain = self._deployment.domain_of(Authorization)
        signed = digest_of(granted.authorization, domain)
        verifiers = (self._deployment.webauthn_verifier,)
        with self._making(Check.APPROVAL):
            verify_signer(approval.signer, signed, approval.signature, verifiers)
            if keccak256(approval.signer) != granted.signer_hash:
                problem = "the chain took another signer's signature"
                raise EvidenceCheckError(Check.APPROVAL, problem)

    def _check_statement(self, facts: Facts) -> str | None:
        statement, granted, names = self._evidence.statement, facts.granted, facts.names
        if granted is None or names is None:
            _require_nothing(Check.STATEMENT, statement)
            return None
        if statement is None:
            self._leave_open(Check.STATEMENT, "the text is not in the file, only its hash")
            return None
        with self._making(Check.STATEMENT):
            if keccak256(statement.encode()) != granted.terms.statement_hash:
                raise EvidenceCheckError(Check.STATEMENT, "another text was signed")
            return case_number_in(statement, granted.terms, names)

    def _linked(self, facts: Facts, access: Accessed) -> bytes | None:
        signed, basis = self._evidence.link, facts.basis
        if basis is None or basis.subject is None:
            _require_nothing(Check.LINK, signed)
            return None
        if signed is None:
            self._leave_open(Check.LINK, "who the records' owner is, is not in the file")
            return None
        domain = self._deployment.domain_of(SubjectLink)
        with self._making(Check.LINK):
            signer = recover(digest(signed.link, domain), signed.signature)
            bounds = link_bounds(facts.state, signed.link.subject)
            return verify_link(signed.link, signer, basis, bounds, access.block.timestamp)

    # The records

    def _released(
        self, facts: Facts, access: Accessed, owner: bytes | None
    ) -> tuple[VerifiedRecord, ...]:
        release = self._evidence.release
        if access.outcome is not Outcome.ALLOWED:
            _require_nothing(Check.PUBLICATION, release)
            return ()
        if release is None:
            for check in (Check.PUBLICATION, Check.RECORDS, Check.VALUES):
                self._leave_open(check, "what was released is not in the file")
            return ()
        verified = verify_release(release, facts, access, owner)
        self._checked += [Check.PUBLICATION, Check.RECORDS]
        if not verified.complete:
            self._leave_open(Check.RECORDS, "whether there are more of the records is not known")
        if any(record.fields is None for record in release.records):
            self._leave_open(Check.VALUES, "the values are not in the file")
        else:
            self._checked.append(Check.VALUES)
        return verified.records

    def _leave_open(self, check: Check, reason: str) -> None:
        self._open.append(Open(check, reason))


def _require_nothing(check: Check, value: object) -> None:
    if value is not None:
        raise EvidenceCheckError(check, "there is something that belongs to no such access")

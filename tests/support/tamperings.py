"""One access as a gateway hands it over, and the three that look at it: keyholder, SDK, evidence's verifier."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import msgspec

from ledger.api import (
    AccessResult,
    KeyedSubmission,
    Location,
    RecordedAccess,
    Release,
    ReleaseTask,
    SignedLink,
)
from ledger.chain import eth_methods
from ledger.chain.events import Block
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.log_reader import LogReader, logs_between
from ledger.chain.rpc import Call
from ledger.crypto.merkle import TreeHead
from ledger.crypto.publications import PublicationProof
from ledger.crypto.records import EncryptedRecord
from ledger.errors import LedgerError
from ledger.evidence.builder import Collected, Collector, Documents, make_evidence
from ledger.evidence.document import EvidenceRecord, EvidenceRelease, RevealedField
from ledger.evidence.verifier import Anchors, VerifiedEvidence, node_hashes, verify_evidence
from ledger.model import ZERO_WORD
from ledger.release_rules import PUBLICATION_LAG
from ledger.typed_data import AccessRequest, Authorization, SubjectLink, struct_hash
from scripts.scenario import Chain, Subject
from tests.support.answers import Version, owner_of, owner_proof
from tests.support.evidence import Counter, revealed
from wallet.client.receipts import make_receipt, verify_receipt
from wallet.client.transports import Client
from wallet.client.verification import Basis, Opened, open_result
from wallet.keyholder.chain_state import ChainState
from wallet.keyholder.rules import Rules, VerifiedRelease, verify_task
from wallet.links import RememberedLinks


@dataclass(frozen=True)
class Claim:
    """What a gateway says of one access."""

    submission: KeyedSubmission
    recorded: RecordedAccess
    dataset: bytes
    publication: int
    head: TreeHead
    records: tuple[EncryptedRecord, ...]
    proof: PublicationProof
    authorization: Authorization
    link: SignedLink | None
    added: frozenset[tuple[int, bytes]] = frozenset()
    """Block and transaction of events that are in evidence without belonging there."""


@dataclass
class Stage:
    """A dataset with a person's records and others', and the bank's access to them."""

    desk: Counter
    claim: Claim = field(init=False)
    """As an honest gateway makes it."""
    pinned: set[bytes] = field(default_factory=set)
    """Identity authorities whose links the keyholder believes."""

    def __post_init__(self) -> None:
        desk = self.desk
        self.pinned.add(self.chain.parties.identity_authority.address)
        self.subject, self.other = self.chain.register_subjects(2)
        self.owner, self.stranger = owner_of(self.subject), owner_of(self.other)
        self.older = desk.publish([desk.encrypt(self.owner, number) for number in range(3)])
        owners = [self.owner, self.stranger, *(secrets.token_bytes(32) for _ in range(3))]
        self.version = desk.publish(
            [desk.encrypt(owner, number) for owner in owners for number in (0, 2)]
        )
        ahead: Call[None] = Call("evm_increaseTime", (hex(2 * PUBLICATION_LAG),), lambda _: None)
        self.chain.rpc.send(ahead)
        self.chain.wait_for_block()
        self.claim = self.used(self.granted(self.subject), self.subject)

    @property
    def chain(self) -> Chain:
        return self.desk.chain

    def granted(self, subject: Subject) -> Authorization:
        record = self.desk.authorization(subject)
        self.chain.grant(subject, record)
        return record

    def revoke(self, subject: Subject, granted: Authorization) -> None:
        call = self.chain.revoke_call(subject, struct_hash(granted))
        self.chain.send(self.chain.parties.recorder, call)

    def used(self, granted: Authorization, subject: Subject, item: bytes = ZERO_WORD) -> Claim:
        """Record an access of the bank's, and answer it with all of a person's records in the newest version."""
        submission, owner = self.desk.submission(struct_hash(granted), item=item), owner_of(subject)
        return Claim(
            submission=submission,
            recorded=self.desk.record(submission),
            dataset=self.desk.dataset,
            publication=self.version.number,
            head=self.version.head,
            records=self.version.of(owner),
            proof=owner_proof(self.version, owner),
            authorization=granted,
            link=self.desk.link(subject, owner),
        )

    def served(self, version: Version, owner: bytes) -> Claim:
        """Answer the honest access with all of somebody's records in some version."""
        return replace(
            self.claim,
            publication=version.number,
            head=version.head,
            records=version.of(owner),
            proof=owner_proof(version, owner),
        )

    # Those who look

    def keyholder(self, claim: Claim) -> VerifiedRelease:
        """A keyholder with a node of its own that has read the whole chain."""
        deployment, newest = self.chain.deployment, self.chain.rpc.send(eth_methods.block("latest"))
        assert newest is not None
        known = ChainState(deployment.delays, PUBLICATION_LAG)
        decoder = EventDecoder(deployment.contracts)
        reader = LogReader(msgspec.structs.astuple(deployment.contracts), ())
        for part in logs_between(self.chain.rpc, reader, 0, newest.number):
            for event in decoder.decode_all(part.logs):
                known.apply(event)
        known.reach(Block(newest.number, newest.hash, newest.timestamp))
        rules = Rules(
            access_log=deployment.domain_of(AccessRequest),
            release_window=PUBLICATION_LAG,
            publication_lag=PUBLICATION_LAG,
            identity_authorities=frozenset(self.pinned),
        )
        recorded = claim.recorded
        task = ReleaseTask(
            submission=claim.submission,
            location=Location(recorded.block_number, recorded.transaction, recorded.log_index),
            dataset=claim.dataset,
            publication=claim.publication,
            records=tuple(record.excerpt(()) for record in claim.records),
            proof=claim.proof,
            link=claim.link,
            authorization=claim.authorization,
        )
        return verify_task(task, known, rules, RememberedLinks(deployment.domain_of(SubjectLink)))

    def sdk(self, claim: Claim, client: Client) -> Opened:
        """The consumer, with parts of keyholders that believe anything; and whoever gets its receipt."""
        desk, own = self.desk, claim.submission
        if own.request.consumer != desk.bank.address:
            own = self.claim.submission
        indices = desk.schema.indices(own.request.fields)
        records = tuple(dict.fromkeys(claim.records))  # parts are of each record once
        release = Release(
            dataset=claim.dataset,
            publication=claim.publication,
            head=claim.head,
            records=tuple(record.excerpt(indices) for record in claim.records),
            proof=claim.proof,
            keys=tuple(desk.keys(holder, claim.submission, records) for holder in (1, 2)),
        )
        request = claim.submission.request
        result = AccessResult(request, desk.digest(request), claim.recorded, release, None)
        basis = Basis(claim.authorization, claim.link)
        opening = desk.opening_of(own)
        opened = client.run(open_result(desk.ledger, opening, own, result, basis))
        names = desk.schema.names
        receipt = make_receipt(desk.ledger, claim.submission, release, opened, names, basis)
        return client.run(verify_receipt(desk.ledger, receipt))

    def evidence(self, claim: Claim) -> VerifiedEvidence:
        """Whoever gets evidence: receipts are as they are on chain, all else is as claimed."""
        true = (
            self.claim if claim.recorded.transaction == self.claim.recorded.transaction else claim
        )
        shown = tuple(self._shown(record) for record in claim.records)
        documents = Documents(
            submission=msgspec.structs.replace(
                true.submission, signature=claim.submission.signature
            ),
            transaction=claim.recorded.transaction,
            sequence=true.recorded.sequence,
            statement=claim.authorization.statement,
            link=claim.link,
            release=EvidenceRelease(claim.publication, shown, claim.proof),
        )
        with adding(claim.added), patch("ledger.evidence.builder._Maker._verified", _unverified):
            made: Any = make_evidence(self.chain.rpc, self.chain.deployment, documents)
        evidence = msgspec.structs.replace(
            made, request=claim.submission.request, sequence=claim.recorded.sequence
        )
        anchors = Anchors(hashes=node_hashes(self.chain.rpc, evidence))
        return verify_evidence(evidence, self.chain.deployment, anchors)

    def _shown(self, record: EncryptedRecord) -> EvidenceRecord:
        """A record's values as they open; something else where they do not."""
        try:
            return revealed(self.desk, self.desk.dataset_keys(), record)
        except LedgerError:
            return EvidenceRecord(record.excerpt(()), (RevealedField(0, "a lie", bytes(32)),))


def _unverified(_: object, evidence: object) -> object:
    """A maker of evidence does not look at what it made."""
    return evidence


@contextmanager
def adding(places: frozenset[tuple[int, bytes]]) -> Iterator[None]:
    """Let makers of evidence add events that do not belong to the access."""
    collect = Collector.collect

    def more(self: Collector, *args: Any) -> Collected:
        collected = collect(self, *args)
        return msgspec.structs.replace(collected, places=collected.places | places)

    with patch.object(Collector, "collect", more):
        yield

"""An honest gateway's answers to real accesses on a real chain, for tests to tamper with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger.api import (
    AccessResult,
    HeldKeys,
    KeyedSubmission,
    RecordedAccess,
    Release,
    SignedLink,
    Submission,
)
from ledger.chain.contract_calls import ContractCall
from ledger.chain.events import Accessed
from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose
from ledger.crypto.merkle import MerkleTree, TreeHead
from ledger.crypto.publications import PublicationProof
from ledger.crypto.records import EncryptedRecord, encrypt_record
from ledger.crypto.released_parts import sign_statements, state_parts
from ledger.crypto.secret_sharing import (
    DatasetKeys,
    HolderSeeds,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_parts,
    derive_subkeys,
    draw_seeds,
    pack,
)
from ledger.crypto.secret_sharing import Release as KeyParts
from ledger.encoding import Schema
from ledger.hexstr import keccak256
from ledger.links import make_link
from ledger.model import Class
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    digest,
    struct_hash,
)
from scripts.answer_keys import DrawnKeys
from scripts.scenario import FIELDS, HOLDER_KEYS, ROSTER, Chain, Party, Subject
from tests.support.provider import prove_owner
from wallet.client.party import ChainAccess
from wallet.client.verification import Basis

EPOCH: Final = 1
SHARING: Final = Sharing(2, 3)
ASKED: Final = 0b1000_0000_0101
"""Fields 0, 2 and 11."""


def make_seeds() -> list[HolderSeeds]:
    numbers = range(1, SHARING.holders + 1)
    drawn = [seed for holder in numbers for seed in draw_seeds(SHARING, holder, EPOCH)]
    return [
        assemble_seeds(SHARING, holder, EPOCH, [seed for seed in drawn if holder in seed.subset])
        for holder in numbers
    ]


@dataclass
class Version:
    """A publication as the gateway has it."""

    number: int
    records: list[EncryptedRecord]
    tree: MerkleTree = field(init=False)

    def __post_init__(self) -> None:
        self.records.sort(key=lambda record: (record.owner, record.number))
        self.tree = MerkleTree.of(record.entry().leaf() for record in self.records)

    @property
    def head(self) -> TreeHead:
        return self.tree.head()

    def of(self, owner: bytes) -> tuple[EncryptedRecord, ...]:
        return tuple(record for record in self.records if record.owner == owner)

    def at(self, item: bytes) -> int:
        return [record.entry().root for record in self.records].index(item)


class Desk:
    """A dataset with versions on a chain, a bank that may use it, and answers to its requests."""

    def __init__(self, chain: Chain, *, personal: bool = True) -> None:
        self.chain = chain
        self.bank = chain.parties.bank
        self.seeds = make_seeds()
        domain = chain.deployment.domain_of(AccessRequest)
        self.answer_keys = DrawnKeys(domain, self.bank.address)
        self.versions: list[Version] = []
        if personal:
            terms = chain.personal_terms()
            self.dataset, self.terms = terms.dataset, terms
        else:
            self.dataset = chain.register_dataset(personal=False, sharing=Class.UNCONDITIONAL)
        self.schema = Schema(self.dataset, FIELDS)
        self.ledger = ChainAccess(chain.deployment, own_node=True)

    # The department

    def encrypt(self, owner: bytes, number: int, word: str = "value") -> EncryptedRecord:
        values = [f"{word} {number}.{index}" for index in range(len(FIELDS))]
        return encrypt_record(
            self.schema, self.dataset_keys(), owner=owner, number=number, values=values
        )

    def dataset_keys(self) -> DatasetKeys:
        return combine_subkeys(SHARING, [derive_subkeys(seed, self.dataset) for seed in self.seeds])

    def publish(self, records: list[EncryptedRecord]) -> Version:
        version = Version(len(self.versions) + 1, records)
        self.chain.publish(self.dataset, version.head.root, version.head.size)
        self.versions.append(version)
        return version

    def send(self, party: Party, call: ContractCall) -> None:
        self.chain.send(party, call)

    # The person

    def person(self, **terms: int | bytes) -> tuple[Subject, Authorization, SignedLink]:
        """Somebody who granted the bank the fields asked for, and the link to the owner."""
        subject = self.chain.register_subject()
        wanted = {"fields": ASKED, "max_uses": 10} | terms
        record = self.chain.authorization(subject, self.terms, **wanted)  # type: ignore[arg-type]
        self.chain.grant(subject, record)
        return subject, record, self.link(subject, owner_of(subject))

    def link(self, subject: Subject, owner: bytes, signer: Party | None = None) -> SignedLink:
        link = make_link(subject.id, self.dataset, owner, at=self.chain.now(), links_from=0)
        by = signer or self.chain.parties.identity_authority
        return SignedLink(link, self.chain.sign(link, by.private_key))

    # The consumer and the gateway

    def submission(
        self, basis: bytes, *, fields: int = ASKED, item: bytes = bytes(32)
    ) -> KeyedSubmission:
        nonce, key = self.answer_keys.next()
        request = self.chain.request(self.bank, basis, fields=fields, item=item)
        request = msgspec.structs.replace(request, nonce=nonce)
        signature = self.chain.sign(request, self.bank.private_key)
        return KeyedSubmission(request, signature, key)

    def record(self, submission: Submission) -> RecordedAccess:
        (event,) = self.chain.record([submission.request])
        return recorded(submission.request, event)

    def answer(
        self,
        submission: KeyedSubmission,
        access: RecordedAccess,
        records: Sequence[EncryptedRecord],
        proof: PublicationProof,
        *,
        version: Version | None = None,
        holders: tuple[int, ...] = (1, 2),
    ) -> AccessResult:
        request = submission.request
        served = version or self.versions[-1]
        indices = self.schema.indices(request.fields)
        release = Release(
            dataset=self.dataset,
            publication=served.number,
            head=served.head,
            records=tuple(record.excerpt(indices) for record in records),
            proof=proof,
            keys=tuple(self.keys(holder, submission, records) for holder in holders),
        )
        return AccessResult(request, self.digest(request), access, release, None)

    def opening_of(self, submission: KeyedSubmission) -> DecryptionKey:
        return self.answer_keys.opening(submission.request.nonce)

    def keys(
        self, holder: int, submission: KeyedSubmission, records: Sequence[EncryptedRecord]
    ) -> HeldKeys:
        request = submission.request
        subkeys = derive_subkeys(self.seeds[holder - 1], self.dataset)
        indices = self.schema.indices(request.fields)
        parts = [
            derive_parts(subkeys, self.schema, record.number, record.salt, indices)
            for record in records
        ]
        released = KeyParts(tuple(parts))
        plain = pack(released)
        sealed = EncryptionKey(submission.key).seal(plain, Purpose.RELEASE, self.digest(request))
        statement = state_parts(self.digest(request), released, [ROSTER])
        domain = self.chain.deployment.domain_of(AccessRequest)
        (signed,) = sign_statements([statement], HOLDER_KEYS[holder - 1], domain)
        return HeldKeys(ROSTER.members[holder - 1], sealed, signed)

    def digest(self, request: AccessRequest) -> bytes:
        return digest(request, self.chain.deployment.domain_of(AccessRequest))


@dataclass(frozen=True)
class Honest:
    """One person's access, answered honestly from the newest version."""

    desk: Desk
    subject: Subject
    submission: KeyedSubmission
    result: AccessResult
    basis: Basis

    @property
    def release(self) -> Release:
        assert self.result.release is not None
        return self.result.release


def honest_access(desk: Desk, *, own: int = 2, others: int = 6, **terms: int | bytes) -> Honest:
    """Publish some people's records, let one of them grant, access, answer."""
    subject, authorization, link = desk.person(**terms)
    owner = owner_of(subject)
    records = [desk.encrypt(owner, number) for number in range(own)]
    records += [desk.encrypt(keccak256(b"other %d" % number), number) for number in range(others)]
    version = desk.publish(records)
    submission = desk.submission(struct_hash(authorization))
    access = desk.record(submission)
    result = desk.answer(submission, access, version.of(owner), owner_proof(version, owner))
    return Honest(desk, subject, submission, result, Basis(authorization, link))


def owner_proof(version: Version, owner: bytes) -> PublicationProof:
    """All of an owner's records, as the gateway proves them."""
    return prove_owner(version.tree, [record.entry() for record in version.records], owner)


def owner_of(subject: Subject) -> bytes:
    """The owner under which a person's records are published."""
    return keccak256(b"owner of" + subject.id)


def recorded(request: AccessRequest, event: Accessed) -> RecordedAccess:
    return RecordedAccess(
        access=struct_hash(request),
        sequence=event.sequence,
        outcome=event.outcome,
        block_number=event.block.number,
        block_hash=event.block.hash,
        timestamp=event.block.timestamp,
        transaction=event.transaction,
        log_index=event.log_index,
    )

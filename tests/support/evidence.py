"""An access on a real chain with all that evidence takes: a purpose's text, a statement, a release."""

import secrets
from dataclasses import dataclass
from typing import Final

import msgspec

from ledger.api import KeyedSubmission, RecordedAccess
from ledger.chain.deployment import Deployment
from ledger.chain.events import Text
from ledger.crypto.records import EncryptedRecord, open_fields
from ledger.crypto.secret_sharing import DatasetKeys
from ledger.crypto.statement import Terms as StatementTerms
from ledger.crypto.statement import case_reference, make_statement, new_reference, select_templates
from ledger.evidence.builder import Documents, MadeEvidence, make_evidence
from ledger.evidence.document import Evidence, EvidenceRecord, EvidenceRelease, RevealedField
from ledger.evidence.verifier import Anchors, node_hashes
from ledger.typed_data import Authorization, struct_hash
from scripts.scenario import FIELDS, YEAR, Chain, Subject, Terms
from tests.support.answers import ASKED, Desk, Version, owner_of, owner_proof
from tests.support.provider import provider_keys

CASE: Final = "2026-118"
TEXTS: Final = (
    Text(
        "zh",
        "我同意{consumer}为办理{case}号业务查询我的{dataset}中的{fields}，{uses}，至{until}，"
        "保存{retention}。",
    ),
    Text(
        "en",
        "I let {consumer} read {fields} of my {dataset}, {uses}, for case {case}, until {until}, "
        "to be kept {retention}.",
    ),
)


class Counter(Desk):
    """A desk whose purpose has real texts, and whose people sign real statements."""

    def __init__(self, chain: Chain) -> None:
        super().__init__(chain)
        purpose = chain.register_purpose(texts=TEXTS)
        agreement = chain.agree(self.bank, self.dataset, purpose)
        self.terms = Terms(self.dataset, purpose, agreement, self.bank)

    def authorization(self, subject: Subject, **terms: int | bytes) -> Authorization:
        wanted = {"fields": ASKED, "max_uses": 3} | terms
        record = self.chain.authorization(subject, self.terms, **wanted)  # type: ignore[arg-type]
        reference = case_reference(CASE, secrets.token_bytes(32))
        record = msgspec.structs.replace(record, case_reference=reference)
        return msgspec.structs.replace(record, statement=statement_of(self, record))


def statement_of(desk: Desk, record: Authorization) -> str:
    fields = tuple(name for place, name in enumerate(FIELDS) if record.fields >> place & 1)
    terms = StatementTerms(
        consumer=desk.bank.name,
        dataset="Title",
        fields=fields,
        item=record.item,
        case_number=CASE,
        max_uses=record.max_uses,
        min_interval=record.min_interval,
        not_before=record.not_before,
        expires_at=record.expires_at,
        retention=YEAR,
    )
    templates = select_templates((text.language, text.template) for text in TEXTS)
    return make_statement(templates, terms, new_reference()).text


@dataclass(frozen=True)
class Case:
    """One person's access."""

    desk: Counter
    subject: Subject
    authorization: Authorization
    submission: KeyedSubmission
    recorded: RecordedAccess
    documents: Documents

    @property
    def deployment(self) -> Deployment:
        return self.desk.chain.deployment

    def make(self, **changes: object) -> MadeEvidence:
        documents = msgspec.structs.replace(self.documents, **changes)
        return make_evidence(self.desk.chain.rpc, self.deployment, documents)


def case(desk: Counter, *, item: bool = False, **terms: int | bytes) -> Case:
    """Publish, grant, access once; the values are among the documents."""
    subject = desk.chain.register_subject()
    owner = owner_of(subject)
    records = [desk.encrypt(owner, 2 * number) for number in range(2)]
    records += [desk.encrypt(secrets.token_bytes(32), number) for number in range(6)]
    version = desk.publish(records)
    if item:
        terms["item"] = version.of(owner)[0].entry().root
    authorization = desk.authorization(subject, **terms)
    desk.chain.grant(subject, authorization)
    submission = desk.submission(struct_hash(authorization))
    recorded = desk.record(submission)
    documents = Documents(
        submission=submission,
        transaction=recorded.transaction,
        sequence=recorded.sequence,
        statement=authorization.statement,
        link=desk.link(subject, owner),
        release=release(desk, version, owner, one=item),
    )
    return Case(desk, subject, authorization, submission, recorded, documents)


def release(desk: Desk, version: Version, owner: bytes, *, one: bool = False) -> EvidenceRelease:
    """What is released of an owner's records, values shown."""
    records = version.of(owner)[: 1 if one else None]
    keys = desk.dataset_keys()
    shown = tuple(revealed(desk, keys, record) for record in records)
    return EvidenceRelease(version.number, shown, owner_proof(version, owner))


def revealed(desk: Desk, keys: DatasetKeys, record: EncryptedRecord) -> EvidenceRecord:
    indices = desk.schema.indices(ASKED)
    opening = provider_keys(keys, desk.schema, record.number, record.salt, indices)
    opened = open_fields(desk.schema, record, opening)
    fields = tuple(RevealedField(one.index, one.value, one.salt) for one in opened)
    return EvidenceRecord(record.excerpt(()), fields)


def trusting(case_: Case, evidence: Evidence) -> Anchors:
    return Anchors(hashes=node_hashes(case_.desk.chain.rpc, evidence))

"""One small chain that comes out the same every time: what the vectors of the chain are made from.

Keys, salts and nonces are made from names, signatures are deterministic (RFC 6979), and the node mines
only when we say so, one second after the block before. So every hash on it is the same again, until
a contract, the compiler or the node changes.

The story: a department publishes four records, two of them of one person, who lets the bank read two
fields three times at most. The bank asks for something that there is not, for all of the
person's records, for one record, and, by mistake, for all of them a second time.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ledger.api import KeyedSubmission, SignedLink
from ledger.chain import contract_calls
from ledger.chain.contract_calls import Approval, ContractCall
from ledger.chain.deploy import deploy
from ledger.chain.deployment import Deployment, Founder
from ledger.chain.embedded import Node, NodeSettings
from ledger.chain.events import Accessed, DatasetTerms, PurposeTerms, Text
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import application_id, dataset_id
from ledger.chain.rpc import AsyncRpc, Call, Rpc
from ledger.chain.sender import Sender
from ledger.crypto import statement
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.merkle import MerkleTree
from ledger.crypto.records import EncryptedRecord, OpenedField, encrypt_record, open_fields
from ledger.crypto.released_parts import make_nonce, nonce_word
from ledger.crypto.secret_sharing import (
    DatasetKeys,
    Roster,
    Sharing,
    combine_subkeys,
    derive_subkeys,
)
from ledger.crypto.signatures import address_of, sign
from ledger.encoding import Schema
from ledger.evidence.builder import Documents, MadeEvidence, make_evidence
from ledger.evidence.document import EvidenceRecord, EvidenceRelease, RevealedField
from ledger.links import make_link
from ledger.model import Class, Roles
from ledger.replay.sources import export_trail
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    ConfidentialityAgreement,
    SignedRecord,
    digest,
    struct_hash,
)
from tests.support.provider import prove_owner, provider_keys
from tests.vectors.cryptography import EPOCH, holders_of
from tests.vectors.files import CHAIN_ID, NOW, named, stream
from tests.vectors.signed_records import REFERENCE, SALT, TEMPLATES, TERMS

BEGINNING: Final = NOW - 60
"""Time of the first block, seconds since 1970."""
FIELDS: Final = TERMS.fields
ASKED: Final = 0b101
"""Location and mortgage, not the area."""
VALUES: Final = ("历下区泉城路 1 号", "89.5", "无 / none")
HOLDER_KEYS: Final = tuple(named(f"keyholder {number}'s key") for number in (1, 2, 3))
ROSTER: Final = Roster(EPOCH, 2, tuple(map(address_of, HOLDER_KEYS)))
MANIFEST: Final = named("quality report")
DEADLINE: Final = NOW + 600
_MAX_USES: Final = 3
_NEVER: Final = 1e6
_YEAR: Final = 365 * 86_400

T = TypeVar("T")


@dataclass(frozen=True)
class Party:
    """Somebody with an account."""

    name: str
    roles: Roles

    @property
    def private_key(self) -> bytes:
        """The same in every run: never use it."""
        return named(f"{self.name}'s key")

    @property
    def address(self) -> bytes:
        return address_of(self.private_key)


AUTHORITY: Final = Party("市大数据局 / Data Bureau", Roles(0))
PROVIDER: Final = Party("市不动产登记中心 / Real Estate Registry", Roles.PROVIDER)
BANK: Final = Party(TERMS.consumer, Roles.CONSUMER)
GATEWAY: Final = Party("网关 / Gateway", Roles.RECORDER)
IDENTITY: Final = Party("市公安局 / Identity Authority", Roles.IDENTITY_AUTHORITY)
FOUNDERS: Final = (
    IDENTITY,
    Party("市数据监管局 / Data Regulator", Roles.REGULATOR),
    Party("市审计局 / Audit Office", Roles.REGULATOR),
)
ANSWER_KEY: Final = b"\x01" + named("opening key 1")
"""The private key of the bank's answers: suite byte, key."""
SUBJECT: Final = named("subject of the chain")
SUBJECT_KEY: Final = named("key of the subject of the chain")
OWNER: Final = named("owner of the subject's records")

PURPOSE: Final = PurposeTerms(
    code="loan",
    texts=(Text("zh", TEMPLATES.zh), Text("en", TEMPLATES.en)),
    max_validity=_YEAR,
    max_uses=12,
    min_interval=0,
    retention=TERMS.retention,
)
DATASET: Final = DatasetTerms(
    code="real-estate",
    title=TERMS.dataset,
    fields=FIELDS,
    sharing=Class.CONDITIONAL,
    open=Class.NOT_SHARED,
    grade=3,
    personal=True,
    update_cycle=86_400,
)


@dataclass(frozen=True)
class SmallChain:
    """Everything of the chain that vectors are made from."""

    deployment: Deployment
    trail: bytes
    """Of the whole chain, as `export_trail` writes it."""
    authorization: Authorization
    submissions: tuple[KeyedSubmission, ...]
    """The bank's requests, in the order in which they were recorded."""
    accesses: tuple[Accessed, ...]
    documents: Documents
    """Of the second access: what the consumer has."""
    schema: Schema
    records: tuple[EncryptedRecord, ...]
    """The person's, whole."""
    opened: tuple[tuple[OpenedField, ...], ...]
    """Of the second access, by record."""
    evidence: MadeEvidence


class _StillNode(Node):
    """A node whose first block has a time of its own."""

    def _arguments(self, cache: Path, state: Path | None) -> list[str]:
        return [*super()._arguments(cache, state), "--timestamp", str(BEGINNING)]


class _MiningNode(AsyncRpc):
    """Has what was sent mined, all in one block, when somebody asks what became of it."""

    _waiting = False

    async def send(self, call: Call[T]) -> T:
        if call.method == "eth_sendRawTransaction":
            self._waiting = True
        elif call.method == "eth_getTransactionReceipt" and self._waiting:
            self._waiting = False
            await super().send(Call("evm_mine", (), _ignore))
        return await super().send(call)


class _MiningRpc(Rpc):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.awaited = _MiningNode(url, blocks=True)


def make_chain() -> SmallChain:
    """Run the chain; it takes about two seconds.

    Raises:
        NodeError: there is no anvil, or it does not start.
        LedgerError: something on it does not go as the story says.
    """
    with _running() as (rpc, folder):
        return _Story(rpc).tell(folder / "trail.jsonl")


@contextmanager
def _running() -> Iterator[tuple[Rpc, Path]]:
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        settings = NodeSettings(
            Path(directory) / "chain",
            chain_id=CHAIN_ID,
            block_time=_NEVER,
            idle_block_time=_NEVER,
            state_interval=0,
        )
        with _StillNode(settings) as node:
            node.stop_mining()
            with _MiningRpc(node.url) as rpc:
                rpc.send(Call("anvil_setBlockTimestampInterval", (1,), _ignore))
                yield rpc, Path(directory)


def _ignore(_raw: msgspec.Raw) -> None:
    return None


class _Story:
    """What happens on the chain, step by step."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        founders = [Founder(founder.address, founder.roles, founder.name) for founder in FOUNDERS]
        deployed = deploy(rpc, AUTHORITY.private_key, founders=founders)
        self._deployment = deployed.with_roster(ROSTER)
        self._dataset = dataset_id(PROVIDER.address, DATASET.code.encode())
        self._schema = Schema(self._dataset, FIELDS)
        self._purpose = contract_calls.purpose_id(PURPOSE)

    def tell(self, trail: Path) -> SmallChain:
        self._set_up()
        records = self._records()
        tree = MerkleTree.of(record.entry().leaf() for record in records)
        head = tree.head()
        self._send(
            PROVIDER,
            contract_calls.publish(self._dataset, head.root, head.size, manifest=MANIFEST),
        )
        authorization = self._grant()
        submissions = self._submissions(struct_hash(authorization), records)
        first, second, third, fourth = (submission.request for submission in submissions)
        accesses = (
            *self._record(first),
            *self._record(second, third),
            *self._record(fourth),
        )
        mine = [record for record in records if record.owner == OWNER]
        opened = tuple(self._opened(record) for record in mine)
        release = EvidenceRelease(
            publication=1,
            records=tuple(map(_shown, mine, opened)),
            proof=prove_owner(tree, [record.entry() for record in records], OWNER),
        )
        documents = Documents(
            submission=submissions[1],
            transaction=accesses[1].transaction,
            sequence=accesses[1].sequence,
            statement=authorization.statement,
            link=self._link(),
            release=release,
        )
        export_trail(self._rpc, self._deployment, trail)
        return SmallChain(
            deployment=self._deployment,
            trail=trail.read_bytes(),
            authorization=authorization,
            submissions=submissions,
            accesses=accesses,
            documents=documents,
            schema=self._schema,
            records=tuple(mine),
            opened=opened,
            evidence=make_evidence(self._rpc, self._deployment, documents),
        )

    def _set_up(self) -> None:
        """Admit the parties; dataset, purpose and agreement; the person."""
        parties = (PROVIDER, BANK, GATEWAY)
        admissions = [
            contract_calls.admit(party.address, party.roles, party.name) for party in parties
        ]
        self._send(AUTHORITY, *admissions, contract_calls.register_purpose(PURPOSE))
        self._send(PROVIDER, contract_calls.register_dataset(DATASET))
        every = (1 << len(FIELDS)) - 1
        self._send(AUTHORITY, contract_calls.bind_fields(self._purpose, self._dataset, every))
        nonce = named("nonce of the application")
        application = application_id(BANK.address, self._dataset, self._purpose, every, nonce)
        kept = ConfidentialityAgreement(
            BANK.address, application, "数据保密协议。", named("nonce of the text"), DEADLINE
        )
        self._send(
            BANK,
            contract_calls.name_recorder(GATEWAY.address),
            contract_calls.apply_for(self._dataset, self._purpose, every, "贷款审批。", nonce),
            contract_calls.sign_confidentiality(kept, self._sign(kept, BANK.private_key)),
        )
        self._send(PROVIDER, contract_calls.approve(application, every, NOW + _YEAR))
        self._send(IDENTITY, contract_calls.register_subjects([SUBJECT], [address_of(SUBJECT_KEY)]))

    def _records(self) -> list[EncryptedRecord]:
        """Return the version that is published: the person's two records, and those of two others."""
        owners = [(OWNER, 1), (OWNER, 7), (named("another owner"), 2), (named("a third owner"), 3)]
        records = [
            encrypt_record(
                self._schema,
                self._keys(),
                owner=owner,
                number=number,
                values=VALUES,
                randomness=stream(f"record {number}"),
            )
            for owner, number in owners
        ]
        return sorted(records, key=lambda record: (record.owner, record.number))

    def _keys(self) -> DatasetKeys:
        sharing = Sharing(2, 3)
        return combine_subkeys(
            sharing, [derive_subkeys(holder, self._dataset) for holder in holders_of(sharing)]
        )

    def _opened(self, record: EncryptedRecord) -> tuple[OpenedField, ...]:
        indices = self._schema.indices(ASKED)
        keys = provider_keys(self._keys(), self._schema, record.number, record.salt, indices)
        return open_fields(self._schema, record, keys)

    def _grant(self) -> Authorization:
        shown = tuple(FIELDS[place] for place in self._schema.indices(ASKED))
        terms = msgspec.structs.replace(
            TERMS, fields=shown, max_uses=_MAX_USES, not_before=BEGINNING
        )
        record = Authorization(
            subject=SUBJECT,
            consumer=BANK.address,
            dataset=self._dataset,
            item=bytes(32),
            purpose=self._purpose,
            fields=ASKED,
            case_reference=statement.case_reference(terms.case_number, SALT),
            statement=statement.make_statement(TEMPLATES, terms, REFERENCE).text,
            not_before=BEGINNING,
            expires_at=terms.expires_at,
            max_uses=terms.max_uses,
            min_interval=terms.min_interval,
            nonce=named("nonce of the authorization"),
            deadline=DEADLINE,
        )
        approval = Approval(address_of(SUBJECT_KEY), self._sign(record, SUBJECT_KEY))
        self._send(GATEWAY, contract_calls.grant(record, approval))
        return record

    def _submissions(
        self, basis: bytes, records: Sequence[EncryptedRecord]
    ) -> tuple[KeyedSubmission, ...]:
        item = next(record for record in records if record.owner == OWNER).entry().root
        nowhere = self._submission(named("no such basis"), 1, bytes(32))
        everything = self._submission(basis, 2, bytes(32))
        return nowhere, everything, self._submission(basis, 3, item), everything

    def _submission(self, basis: bytes, counter: int, item: bytes) -> KeyedSubmission:
        domain = self._deployment.domain_of(AccessRequest)
        key = DecryptionKey(ANSWER_KEY).encryption_key.to_bytes()
        nonce = make_nonce(nonce_word(domain, BANK.address, key), counter)
        request = AccessRequest(BANK.address, basis, item, ASKED, nonce, DEADLINE)
        return KeyedSubmission(request, self._sign(request, BANK.private_key), key)

    def _record(self, *requests: AccessRequest) -> list[Accessed]:
        encoded = tuple(map(contract_calls.encode_request, requests))
        call = contract_calls.record([contract_calls.RequestGroup(BANK.address, encoded)])
        to = self._deployment.address_of(call.contract)
        receipt = Sender(self._rpc, GATEWAY.private_key).send(to, call.data)
        events = EventDecoder(self._deployment.contracts).decode_all(receipt.logs)
        return [event for event in events if isinstance(event, Accessed)]

    def _link(self) -> SignedLink:
        link = make_link(SUBJECT, self._dataset, OWNER, at=NOW, links_from=0)
        return SignedLink(link, self._sign(link, IDENTITY.private_key))

    def _sign(self, record: SignedRecord, private_key: bytes) -> bytes:
        return sign(digest(record, self._deployment.domain_of(record)), private_key)

    def _send(self, party: Party, *calls: ContractCall) -> None:
        address_of_ = self._deployment.address_of
        sender = Sender(self._rpc, party.private_key)
        sender.send_all([(address_of_(call.contract), call.data) for call in calls])


def _shown(record: EncryptedRecord, opened: Sequence[OpenedField]) -> EvidenceRecord:
    fields = tuple(RevealedField(one.index, one.value, one.salt) for one in opened)
    return EvidenceRecord(record.excerpt(()), fields)

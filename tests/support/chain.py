"""A real embedded chain with the contracts deployed and the parties admitted, for any test.

    def test_something(chain: Chain) -> None:
        subject = chain.register_subject()
        dataset = chain.register_dataset()
        ...

`chain` lives as long as the test session, so tests share it: they make what they need and rely on
nothing else being there. A test that kills its node, or counts what is on it, asks for `own_chain`.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from ledger import contracts, queries, signing
from ledger.consents import Names
from ledger.contracts import Approval, ContractCall
from ledger.deployment import Deployment, Founder, deploy
from ledger.enumerations import Class, Roles
from ledger.events import Accessed, DatasetTerms, PurposeTerms, Text
from ledger.events.decoding import EventDecoder
from ledger.events.identifiers import agreement_id, application_id, dataset_id
from ledger.keccak import keccak256
from ledger.node import Node, NodeSettings
from ledger.queries import Receipt
from ledger.rosters import Roster
from ledger.rpc import Rpc
from ledger.sender import Sender
from ledger.statement import StatementError
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    ConfidentialityAgreement,
    Freeze,
    Revocation,
    SignedRecord,
    digest,
    struct_hash,
)
from scripts.statements import CASE_NUMBER, TEXTS, pairs, stated

BLOCK_TIME: Final = 0.05
"""Seconds; shorter than in use, so that tests wait less."""

RECOVERY_DELAY: Final = 3600
TITLE: Final = "Title"
FIELDS: Final = tuple(f"field {number}" for number in range(12))
ALL_FIELDS: Final = (1 << len(FIELDS)) - 1
YEAR: Final = 365 * 24 * 3600

_UNIQUE: Final = itertools.count(1)

HOLDER_KEYS: Final = tuple(keccak256(b"keyholder %d" % number) for number in (1, 2, 3))
"""Private keys of the accounts of the keyholders of `ROSTER`."""

ROSTER: Final = Roster(1, 2, tuple(map(signing.address_of, HOLDER_KEYS)))
"""Of every test's deployment; `tests.support.keyholders.make_keyholders(3, 2)` are these."""


@dataclass(frozen=True)
class Party:
    """Somebody with an account."""

    name: str
    roles: Roles

    @property
    def private_key(self) -> bytes:
        """The same in every run."""
        return keccak256(f"test party {self.name}".encode())

    @property
    def address(self) -> bytes:
        return signing.address_of(self.private_key)


@dataclass(frozen=True)
class Parties:
    """Everybody who is admitted from the start."""

    authority: Party = Party("Data Bureau", Roles(0))
    provider: Party = Party("Real Estate Registry", Roles.PROVIDER)
    other_provider: Party = Party("Health Commission", Roles.PROVIDER)
    bank: Party = Party("Quancheng Bank", Roles.CONSUMER)
    insurer: Party = Party("Quancheng Insurance", Roles.CONSUMER)
    regulator: Party = Party("Regulator", Roles.REGULATOR)
    recorder: Party = Party("Gateway", Roles.RECORDER)
    identity_authority: Party = Party("Identity Authority", Roles.IDENTITY_AUTHORITY)
    keyholders: tuple[Party, ...] = tuple(
        Party(f"Keyholder {number}", Roles.KEYHOLDER) for number in (1, 2, 3)
    )

    @property
    def founders(self) -> tuple[Party, ...]:
        """Who is there from the deployment on."""
        return self.regulator, self.identity_authority

    @property
    def admitted(self) -> tuple[Party, ...]:
        """All but the founders, and the authority, which needs no admission."""
        return (
            self.provider,
            self.other_provider,
            self.bank,
            self.insurer,
            self.recorder,
            *self.keyholders,
        )

    @property
    def consumers(self) -> tuple[Party, ...]:
        """Who names the recorder."""
        return self.bank, self.insurer


@dataclass(frozen=True)
class Subject:
    """A person who signs with an account."""

    id: bytes
    private_key: bytes = field(repr=False)

    @property
    def signer(self) -> bytes:
        """ERC-7913 bytes."""
        return signing.address_of(self.private_key)


@dataclass(frozen=True)
class Terms:
    """A dataset that a consumer has an agreement for."""

    dataset: bytes
    purpose: bytes
    agreement: bytes
    consumer: Party


class Chain:
    """A node, the deployment on it, the parties, and short ways to the usual acts."""

    def __init__(
        self, node: Node, *, recovery_delay: int = RECOVERY_DELAY, admission_delay: int = 0
    ) -> None:
        self.node = node
        self.rpc = Rpc(node.url)
        self.parties = Parties()
        self.deployment: Deployment = deploy_trial(
            self.rpc,
            self.parties.authority.private_key,
            founders=[founder(one) for one in self.parties.founders],
            recovery_delay=recovery_delay,
            admission_delay=admission_delay,
        ).with_roster(ROSTER)
        self.contracts = self.deployment.contracts
        self._senders: dict[Party, Sender] = {}
        self.records: dict[bytes, Authorization] = {}
        """What people signed, by the authorization's id."""
        self.titles: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        """Datasets' names and their fields', which statements are made of."""
        self._purposes: dict[bytes, PurposeTerms] = {}
        self.send_all(
            self.parties.authority,
            [contracts.admit(p.address, p.roles, p.name) for p in self.parties.admitted],
        )
        for consumer in self.parties.consumers:
            self.send(consumer, contracts.name_recorder(self.parties.recorder.address))
        node.checkpoint()

    def close(self) -> None:
        self.rpc.close()

    # Sending

    def sender(self, party: Party) -> Sender:
        if party not in self._senders:
            self._senders[party] = Sender(self.rpc, party.private_key)
        return self._senders[party]

    def send(self, party: Party, call: ContractCall) -> Receipt:
        """Send one transaction and wait for its block."""
        return self.sender(party).send(self.deployment.address_of(call.contract), call.data)

    def send_all(self, party: Party, calls: Sequence[ContractCall]) -> list[Receipt]:
        """Send transactions at once, in order, and wait for their blocks."""
        address_of = self.deployment.address_of
        return self.sender(party).send_all([(address_of(c.contract), c.data) for c in calls])

    def now(self) -> int:
        """The newest block's time, seconds since 1970."""
        block = self.rpc.send(queries.block("latest"))
        assert block is not None
        return block.timestamp

    def block_number(self) -> int:
        """The newest block's number."""
        return self.rpc.send(queries.block_number())

    def wait_for_block(self) -> int:
        """Wait for a block that is not there yet; return its number."""
        last = self.block_number()
        while (number := self.block_number()) == last:
            time.sleep(BLOCK_TIME / 4)
        return number

    def sign(self, record: SignedRecord, private_key: bytes) -> bytes:
        """Sign an EIP-712 record for this deployment."""
        return signing.sign(digest(record, self.deployment.domain_of(record)), private_key)

    def approval(self, record: SignedRecord, subject: Subject) -> Approval:
        """The subject's signature over a record."""
        return Approval(subject.signer, self.sign(record, subject.private_key))

    # Parties

    def admit(self, *parties: Party) -> None:
        """Admit parties; the consumers among them name the gateway's recorder."""
        calls = [contracts.admit(one.address, one.roles, one.name) for one in parties]
        self.send_all(self.parties.authority, calls)
        for one in parties:
            if one.roles & Roles.CONSUMER:
                self.send(one, contracts.name_recorder(self.parties.recorder.address))

    # Datasets and agreements

    def register_dataset(
        self,
        provider: Party | None = None,
        *,
        personal: bool = True,
        sharing: Class = Class.CONDITIONAL,
        fields: tuple[str, ...] = FIELDS,
    ) -> bytes:
        """Register a dataset; return its id."""
        provider = provider or self.parties.provider
        code = f"dataset-{next(_UNIQUE)}-{secrets.token_hex(4)}"
        terms = DatasetTerms(code, TITLE, fields, sharing, Class.NOT_SHARED, 2, personal, 0)
        self.send(provider, contracts.register_dataset(terms))
        dataset = dataset_id(provider.address, code.encode())
        self.titles[dataset] = terms.title, terms.fields
        return dataset

    def publish(
        self, dataset: bytes, root: bytes, count: int, provider: Party | None = None
    ) -> int:
        """Publish a version of a dataset; return the number of its block."""
        call = contracts.publish(dataset, root, count)
        return self.send(provider or self.parties.provider, call).block_number

    def register_purpose(
        self,
        *,
        texts: tuple[Text, ...] | None = None,
        max_validity: int = YEAR,
        max_uses: int = 1_000_000,
        min_interval: int = 0,
    ) -> bytes:
        """Register a purpose; return its id."""
        terms = PurposeTerms(
            code=f"purpose-{next(_UNIQUE)}-{secrets.token_hex(4)}",
            texts=texts or TEXTS,
            max_validity=max_validity,
            max_uses=max_uses,
            min_interval=min_interval,
            retention=YEAR,
        )
        self.send(self.parties.authority, contracts.register_purpose(terms))
        purpose = contracts.purpose_id(terms)
        self._purposes[purpose] = terms
        return purpose

    def agree(
        self,
        consumer: Party,
        dataset: bytes,
        purpose: bytes,
        *,
        fields: int = ALL_FIELDS,
        provider: Party | None = None,
    ) -> bytes:
        """Bind, apply, approve and sign, so that an agreement is active; return its id."""
        nonce = secrets.token_bytes(32)
        application = application_id(consumer.address, dataset, purpose, fields, nonce)
        text = ConfidentialityAgreement(
            consumer.address, application, "We keep it to ourselves.", nonce, self.now() + YEAR
        )
        signature = self.sign(text, consumer.private_key)
        self.send(self.parties.authority, contracts.bind_fields(purpose, dataset, fields))
        self.send(consumer, contracts.apply_for(dataset, purpose, fields, "We need it.", nonce))
        self.send(consumer, contracts.sign_confidentiality(text, signature))
        self.send(
            provider or self.parties.provider,
            contracts.approve(application, fields, self.now() + YEAR),
        )
        return agreement_id(consumer.address, dataset, purpose)

    def personal_terms(self, consumer: Party | None = None) -> Terms:
        """Register a personal dataset and a purpose, and an agreement for a consumer (the bank)."""
        consumer = consumer or self.parties.bank
        dataset, purpose = self.register_dataset(), self.register_purpose()
        return Terms(dataset, purpose, self.agree(consumer, dataset, purpose), consumer)

    # People

    def register_subjects(self, count: int) -> list[Subject]:
        """Register people; return them."""
        subjects = [Subject(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(count)]
        parts = [subjects[start : start + 100] for start in range(0, count, 100)]
        calls = [
            contracts.register_subjects([s.id for s in part], [s.signer for s in part])
            for part in parts
        ]
        self.send_all(self.parties.identity_authority, calls)
        return subjects

    def register_subject(self) -> Subject:
        """Register one person."""
        return self.register_subjects(1)[0]

    def authorization(
        self,
        subject: Subject,
        terms: Terms,
        *,
        fields: int = ALL_FIELDS,
        item: bytes = bytes(32),
        max_uses: int = 1,
        min_interval: int = 0,
        validity: int = 30 * 24 * 3600,
    ) -> Authorization:
        """What a person would sign to grant."""
        now = self.now()
        record = Authorization(
            subject=subject.id,
            consumer=terms.consumer.address,
            dataset=terms.dataset,
            item=item,
            purpose=terms.purpose,
            fields=fields,
            case_reference=secrets.token_bytes(32),
            statement="",
            not_before=now - 60,
            expires_at=now - 60 + validity,
            max_uses=max_uses,
            min_interval=min_interval,
            nonce=secrets.token_bytes(32),
            deadline=now + 3600,
        )
        return self.stated(record, terms.consumer.name)

    def stated(
        self,
        record: Authorization,
        consumer: str,
        case_number: str = CASE_NUMBER,
        reference: str = "",
    ) -> Authorization:
        """The record with the statement that says what it authorizes, if that can be said."""
        title, fields = self.titles.get(record.dataset, (TITLE, FIELDS))
        purpose = self._purposes[record.purpose]
        names = Names(consumer, title, fields, pairs(purpose.texts), purpose.retention)
        try:
            return stated(record, names, case_number, reference)
        except StatementError:
            return record

    def grant(self, subject: Subject, authorization: Authorization) -> bytes:
        """Grant, relayed by the gateway's account; return the authorization's id."""
        self.send(self.parties.recorder, self.grant_call(subject, authorization))
        return struct_hash(authorization)

    def grant_call(self, subject: Subject, authorization: Authorization) -> ContractCall:
        """The call that grants."""
        self.records[struct_hash(authorization)] = authorization
        return contracts.grant(authorization, self.approval(authorization, subject))

    def revoke_call(self, subject: Subject, authorization: bytes) -> ContractCall:
        """The call that revokes."""
        terms = Revocation(subject.id, authorization, self.now() + 3600)
        return contracts.revoke(terms, self.approval(terms, subject))

    def freeze_call(self, subject: Subject, *, frozen: bool = True) -> ContractCall:
        """The call that freezes, or ends it."""
        terms = Freeze(subject.id, frozen, secrets.token_bytes(32), self.now() + 3600)
        return contracts.set_frozen(terms, self.approval(terms, subject))

    def granted(self, count: int, terms: Terms, *, max_uses: int = 1) -> list[bytes]:
        """Register so many people who each grant once; return the authorizations' ids."""
        subjects = self.register_subjects(count)
        wanted = [self.authorization(subject, terms, max_uses=max_uses) for subject in subjects]
        calls = [self.grant_call(s, a) for s, a in zip(subjects, wanted, strict=True)]
        self.send_all(self.parties.authority, calls)
        return [struct_hash(authorization) for authorization in wanted]

    # Accesses

    def request(
        self,
        consumer: Party,
        basis: bytes,
        *,
        fields: int = 1,
        item: bytes = bytes(32),
        nonce: int | None = None,
        lifetime: int = 600,
    ) -> AccessRequest:
        """A consumer's request."""
        return AccessRequest(
            consumer=consumer.address,
            basis=basis,
            item=item,
            fields=fields,
            nonce=secrets.randbits(64) if nonce is None else nonce,
            deadline=self.now() + lifetime,
        )

    def record(self, requests: Sequence[AccessRequest]) -> list[Accessed]:
        """Record requests in one transaction, without `ledger.recorder`; return what came of them."""
        groups = [
            contracts.RequestGroup(request.consumer, (contracts.encode_request(request),))
            for request in requests
        ]
        return self.accesses(self.send(self.parties.recorder, contracts.record(groups)))

    def accesses(self, receipt: Receipt) -> list[Accessed]:
        """The accesses in a receipt."""
        decoder = EventDecoder(self.contracts)
        events = decoder.decode_all(receipt.logs)
        return [event for event in events if isinstance(event, Accessed)]


def deploy_trial(
    rpc: Rpc,
    private_key: bytes,
    *,
    founders: Sequence[Founder] = (),
    recovery_delay: int = RECOVERY_DELAY,
    admission_delay: int = 0,
) -> Deployment:
    """Deploy as a trial, where what is announced takes effect at once unless said otherwise."""
    return deploy(
        rpc,
        private_key,
        founders=founders,
        trial=True,
        admission_delay=admission_delay,
        recovery_delay=recovery_delay,
    )


def founder(party: Party) -> Founder:
    """The party as one of a deployment's founders."""
    return Founder(party.address, party.roles, party.name)


def node_settings(data: Path, **changes: object) -> NodeSettings:
    """A node for tests: a block comes soon, also when nothing happens."""
    usual = {"block_time": BLOCK_TIME, "idle_block_time": BLOCK_TIME}
    return NodeSettings(data, **{**usual, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A chain that the whole session shares. Nobody kills it, so its state is not written."""
    with Node(node_settings(tmp_path_factory.mktemp("chain"), state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture
def own_chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain for one test, which may kill and restart `own_chain.node`.

    Its state is written at checkpoints only: a kill takes back all blocks since.
    """
    with Node(node_settings(tmp_path / "chain", state_interval=0)) as node:
        chain = Chain(node)
        yield chain
        chain.close()


@pytest.fixture
def make_chain(tmp_path: Path) -> Iterator[Callable[[], Chain]]:
    """Make as many chains as a test wants."""
    chains: list[Chain] = []

    def make() -> Chain:
        node = Node(node_settings(tmp_path / f"chain{len(chains)}"))
        node.start()
        try:
            chains.append(Chain(node))
        except BaseException:
            node.stop()
            raise
        return chains[-1]

    yield make
    for chain in chains:
        chain.close()
        chain.node.stop()

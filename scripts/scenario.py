"""One scenario for benchmark, fault runs and tests: contracts with parties on a node, people with records, keyholders.

    chain = Chain(node)
    data = PersonalData(chain, make_keyholders(3, 2))
    person = data.person(records=2)
    authorization = chain.authorization(person.subject, data.terms)
    chain.grant(person.subject, authorization)

Everything is sent by raw JSON-RPC, so that also a large one is soon there; `scripts.demo` shows how parties come
to the same with their own tools. Keys of parties and keyholders are the same in every run: never use them.
"""

import itertools
import secrets
import time
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from ledger.api import SignedLink
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import Approval, ContractCall
from ledger.chain.deploy import deploy
from ledger.chain.deployment import Deployment, Founder
from ledger.chain.embedded import Node
from ledger.chain.eth_methods import Receipt
from ledger.chain.events import Accessed, DatasetTerms, PurposeTerms, Text
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.events.identifiers import agreement_id, application_id, dataset_id
from ledger.chain.rpc import Rpc
from ledger.chain.sender import Sender
from ledger.crypto import signatures
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.records import EncryptedRecord, encrypt_record
from ledger.crypto.secret_sharing import Roster, Sharing, combine_subkeys, derive_subkeys
from ledger.crypto.statement import Names, StatementError
from ledger.encoding import Schema
from ledger.hexstr import keccak256
from ledger.links import make_link
from ledger.model import Class, Roles
from ledger.plain_text import PlainTextError
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
from scripts.statements import CASE_NUMBER, TEXTS, pairs, stated, unstated
from wallet.keyholder.ceremony import begin_epoch, make_packets, open_packet
from wallet.keyholder.seeds import Holdings

DAY: Final = 24 * 3600
YEAR: Final = 365 * DAY
RECOVERY_DELAY: Final = 3600
TITLE: Final = "Title"
"""Of every dataset."""
FIELDS: Final = tuple(f"field {number}" for number in range(12))
ALL_FIELDS: Final = (1 << len(FIELDS)) - 1
MAX_USES: Final = 1_000_000
"""Of every purpose, if nothing else is said."""
SHARING: Final = Sharing(2, 3)
_SUBJECTS_AT_ONCE: Final = 100
_GRANTS_AT_ONCE: Final = 400
_POLL: Final = 0.0125
_UNIQUE: Final = itertools.count(1)

HOLDER_KEYS: Final = tuple(keccak256(b"keyholder %d" % number) for number in (1, 2, 3))
ROSTER: Final = Roster(1, SHARING.threshold, tuple(map(signatures.address_of, HOLDER_KEYS)))
"""Of every deployment here; `make_keyholders(3, 2)` are these."""


class Party(msgspec.Struct, frozen=True):
    """A party: its name on chain, and its account, whose key is made from the name."""

    name: str
    roles: Roles

    @classmethod
    def draw(cls) -> Self:
        """Return somebody with a new account and no role."""
        return cls(secrets.token_hex(8), Roles(0))

    @property
    def private_key(self) -> bytes:
        return keccak256(f"test party {self.name}".encode())

    @property
    def address(self) -> bytes:
        return signatures.address_of(self.private_key)


class Parties(msgspec.Struct, frozen=True):
    """The parties that are there from the start."""

    authority: Party = Party("Data Bureau", Roles(0))
    provider: Party = Party("Real Estate Registry", Roles.PROVIDER)
    other_provider: Party = Party("Health Commission", Roles.PROVIDER)
    bank: Party = Party("Quancheng Bank", Roles.CONSUMER)
    insurer: Party = Party("Quancheng Insurance", Roles.CONSUMER)
    regulator: Party = Party("Regulator", Roles.REGULATOR)
    recorder: Party = Party("Gateway", Roles.RECORDER)
    identity_authority: Party = Party("Identity Authority", Roles.IDENTITY_AUTHORITY)

    @property
    def founders(self) -> tuple[Party, ...]:
        return self.regulator, self.identity_authority

    @property
    def admitted(self) -> tuple[Party, ...]:
        """All but the founders, and the authority, which needs no admission."""
        return self.provider, self.other_provider, self.bank, self.insurer, self.recorder

    @property
    def consumers(self) -> tuple[Party, ...]:
        """Those who name the recorder."""
        return self.bank, self.insurer


class Subject(msgspec.Struct, frozen=True):
    """A person who signs with an account."""

    id: bytes
    private_key: bytes

    @property
    def signer(self) -> bytes:
        """ERC-7913 bytes."""
        return signatures.address_of(self.private_key)


class Terms(msgspec.Struct, frozen=True):
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
            founders=[Founder(p.address, p.roles, p.name) for p in self.parties.founders],
            recovery_delay=recovery_delay,
            admission_delay=admission_delay,
        ).with_roster(ROSTER)
        self.contracts = self.deployment.contracts
        self._senders: dict[Party, Sender] = {}
        self.records: dict[bytes, Authorization] = {}
        """Signed authorizations, by id."""
        self.titles: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        """Datasets' names and their fields, which statements are made of."""
        self._purposes: dict[bytes, PurposeTerms] = {}
        admissions = [
            contract_calls.admit(p.address, p.roles, p.name) for p in self.parties.admitted
        ]
        admissions += [
            contract_calls.admit(member, Roles.KEYHOLDER, f"Keyholder {number}")
            for number, member in enumerate(ROSTER.members, 1)
        ]
        self.send_all(self.parties.authority, admissions)
        for consumer in self.parties.consumers:
            self.send(consumer, contract_calls.name_recorder(self.parties.recorder.address))
        node.checkpoint()

    def close(self) -> None:
        self.rpc.close()

    # Sending

    def sender(self, party: Party) -> Sender:
        """Return what sends a party's transactions."""
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
        """Return the newest block's time, seconds since 1970.

        Raises:
            LedgerError: the node does not answer.
        """
        block = self.rpc.send(eth_methods.block("latest"))
        return 0 if block is None else block.timestamp

    def block_number(self) -> int:
        """Return the newest block's number."""
        return self.rpc.send(eth_methods.block_number())

    def wait_for_block(self) -> int:
        """Wait for a block that is not there yet; return its number."""
        last = self.block_number()
        while (number := self.block_number()) == last:
            time.sleep(_POLL)
        return number

    def sign(self, record: SignedRecord, private_key: bytes) -> bytes:
        """Sign an EIP-712 record for this deployment."""
        return signatures.sign(digest(record, self.deployment.domain_of(record)), private_key)

    def approval(self, record: SignedRecord, subject: Subject) -> Approval:
        """Return a subject's signature over a record."""
        return Approval(subject.signer, self.sign(record, subject.private_key))

    # Parties

    def admit(self, *parties: Party) -> None:
        """Admit parties; the consumers among them name the gateway's recorder."""
        calls = [contract_calls.admit(party.address, party.roles, party.name) for party in parties]
        self.send_all(self.parties.authority, calls)
        for one in parties:
            if one.roles & Roles.CONSUMER:
                self.send(one, contract_calls.name_recorder(self.parties.recorder.address))

    # Datasets and agreements

    def register_dataset(
        self,
        provider: Party | None = None,
        *,
        personal: bool = True,
        sharing: Class = Class.CONDITIONAL,
        fields: tuple[str, ...] = FIELDS,
    ) -> bytes:
        provider = provider or self.parties.provider
        code = f"dataset-{next(_UNIQUE)}-{secrets.token_hex(4)}"
        terms = DatasetTerms(code, TITLE, fields, sharing, Class.NOT_SHARED, 2, personal, 0)
        self.send(provider, contract_calls.register_dataset(terms))
        dataset = dataset_id(provider.address, code.encode())
        self.titles[dataset] = terms.title, terms.fields
        return dataset

    def publish(
        self, dataset: bytes, root: bytes, count: int, provider: Party | None = None
    ) -> int:
        """Publish a version of a dataset; return the number of its block."""
        call = contract_calls.publish(dataset, root, count)
        return self.send(provider or self.parties.provider, call).block_number

    def register_purpose(
        self,
        *,
        texts: tuple[Text, ...] | None = None,
        max_validity: int = YEAR,
        max_uses: int = MAX_USES,
        min_interval: int = 0,
    ) -> bytes:
        terms = PurposeTerms(
            code=f"purpose-{next(_UNIQUE)}-{secrets.token_hex(4)}",
            texts=texts or TEXTS,
            max_validity=max_validity,
            max_uses=max_uses,
            min_interval=min_interval,
            retention=YEAR,
        )
        self.send(self.parties.authority, contract_calls.register_purpose(terms))
        purpose = contract_calls.purpose_id(terms)
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
        bind: bool = True,
    ) -> bytes:
        """Bind (once for a purpose and a dataset), apply, sign and approve; return the agreement's id."""
        nonce = secrets.token_bytes(32)
        application = application_id(consumer.address, dataset, purpose, fields, nonce)
        until = self.now() + YEAR
        text = ConfidentialityAgreement(
            consumer.address, application, "We keep it to ourselves.", nonce, until
        )
        if bind:
            self.send(self.parties.authority, contract_calls.bind_fields(purpose, dataset, fields))
        self.send_all(
            consumer,
            [
                contract_calls.apply_for(dataset, purpose, fields, "We need it.", nonce),
                contract_calls.sign_confidentiality(text, self.sign(text, consumer.private_key)),
            ],
        )
        self.send(
            provider or self.parties.provider, contract_calls.approve(application, fields, until)
        )
        return agreement_id(consumer.address, dataset, purpose)

    def personal_terms(self, consumer: Party | None = None) -> Terms:
        """Register a personal dataset and a purpose, and an agreement for a consumer (the bank)."""
        consumer = consumer or self.parties.bank
        dataset, purpose = self.register_dataset(), self.register_purpose()
        return Terms(dataset, purpose, self.agree(consumer, dataset, purpose), consumer)

    # People

    def register_subjects(self, count: int) -> list[Subject]:
        subjects = [Subject(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(count)]
        parts = [
            subjects[start : start + _SUBJECTS_AT_ONCE]
            for start in range(0, count, _SUBJECTS_AT_ONCE)
        ]
        calls = [
            contract_calls.register_subjects([s.id for s in part], [s.signer for s in part])
            for part in parts
        ]
        self.send_all(self.parties.identity_authority, calls)
        return subjects

    def register_subject(self) -> Subject:
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
        validity: int = 30 * DAY,
        now: int | None = None,
    ) -> Authorization:
        """Return what a person would sign to grant."""
        record = unstated(
            *(subject.id, terms.consumer.address, terms.dataset, terms.purpose),
            now=self.now() if now is None else now,
            fields=fields,
            item=item,
            max_uses=max_uses,
            min_interval=min_interval,
            validity=validity,
        )
        return self.stated(record, terms.consumer.name)

    def stated(
        self,
        record: Authorization,
        consumer: str,
        case_number: str = CASE_NUMBER,
        reference: str = "",
    ) -> Authorization:
        """Return a record with the statement that says what it authorizes, if that can be said."""
        title, fields = self.titles.get(record.dataset, (TITLE, FIELDS))
        purpose = self._purposes[record.purpose]
        names = Names(consumer, title, fields, pairs(purpose.texts), purpose.retention)
        try:
            return stated(record, names, case_number, reference)
        except (StatementError, PlainTextError):
            return record

    def grant(self, subject: Subject, authorization: Authorization) -> bytes:
        """Grant, relayed by the gateway's account; return the authorization's id."""
        self.send(self.parties.recorder, self.grant_call(subject, authorization))
        return struct_hash(authorization)

    def grant_call(self, subject: Subject, authorization: Authorization) -> ContractCall:
        self.records[struct_hash(authorization)] = authorization
        return contract_calls.grant(authorization, self.approval(authorization, subject))

    def revoke_call(self, subject: Subject, authorization: bytes) -> ContractCall:
        terms = Revocation(subject.id, authorization, self.now() + 3600)
        return contract_calls.revoke(terms, self.approval(terms, subject))

    def freeze_call(self, subject: Subject, *, frozen: bool = True) -> ContractCall:
        terms = Freeze(subject.id, frozen, secrets.token_bytes(32), self.now() + 3600)
        return contract_calls.set_frozen(terms, self.approval(terms, subject))

    def grant_all(
        self, subjects: Sequence[Subject], terms: Terms, *, max_uses: int, validity: int = 30 * DAY
    ) -> list[Authorization]:
        """Let people grant once each; return what they signed."""
        granted = []
        for start in range(0, len(subjects), _GRANTS_AT_ONCE):
            now, calls = self.now(), []
            for subject in subjects[start : start + _GRANTS_AT_ONCE]:
                granted.append(
                    self.authorization(
                        subject, terms, max_uses=max_uses, validity=validity, now=now
                    )
                )
                calls.append(self.grant_call(subject, granted[-1]))
            self.send_all(self.parties.authority, calls)
        return granted

    def granted(self, count: int, terms: Terms, *, max_uses: int = 1) -> list[bytes]:
        """Register so many people who each grant once; return the authorizations' ids."""
        subjects = self.register_subjects(count)
        return list(map(struct_hash, self.grant_all(subjects, terms, max_uses=max_uses)))

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
            contract_calls.RequestGroup(request.consumer, (contract_calls.encode_request(request),))
            for request in requests
        ]
        return self.accesses(self.send(self.parties.recorder, contract_calls.record(groups)))

    def accesses(self, receipt: Receipt) -> list[Accessed]:
        events = EventDecoder(self.contracts).decode_all(receipt.logs)
        return [event for event in events if isinstance(event, Accessed)]


def names_of(consumer: str) -> Names:
    """Return what a person is shown who grants to a consumer of this name, of a usual dataset."""
    return Names(consumer, TITLE, FIELDS, pairs(TEXTS), YEAR)


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


# Records and keyholders


class Person(msgspec.Struct, frozen=True):
    """A person who can grant, the owner of the person's records, and the link between the two."""

    subject: Subject
    owner: bytes
    link: SignedLink


class PersonalData:
    """A personal dataset as its provider has it, and the people whose records are in it.

    Args:
        chain: with the contracts.
        holders: all keyholders of the roster.
    """

    def __init__(self, chain: Chain, holders: Sequence[Holdings]) -> None:
        self.chain = chain
        self.holders = list(holders)
        self.terms = chain.personal_terms()
        self.schema = Schema(self.terms.dataset, FIELDS)
        subkeys = [
            derive_subkeys(holder.newest().complete(), self.terms.dataset)
            for holder in self.holders[: SHARING.threshold]
        ]
        self.keys = combine_subkeys(SHARING, subkeys)
        self.records: list[EncryptedRecord] = []
        self.people: list[Person] = []

    def person(self, records: int = 2) -> Person:
        """Register a person with records in the dataset; they are not published by that."""
        return self._add(self.chain.register_subject(), records)

    def add_people(self, count: int, records: int = 2) -> list[Person]:
        """Do as `person`, for several at once."""
        return [self._add(subject, records) for subject in self.chain.register_subjects(count)]

    def _add(self, subject: Subject, records: int) -> Person:
        owner, authority = secrets.token_bytes(32), self.chain.parties.identity_authority
        link = make_link(subject.id, self.terms.dataset, owner, at=self.chain.now(), links_from=0)
        signed = SignedLink(link, self.chain.sign(link, authority.private_key))
        for number in range(len(self.records) + 1, len(self.records) + 1 + records):
            values = [f"{name} of {number}" for name in FIELDS]
            record = encrypt_record(
                self.schema, self.keys, owner=owner, number=number, values=values
            )
            self.records.append(record)
        self.people.append(Person(subject, owner, signed))
        return self.people[-1]

    def sort_records(self) -> list[EncryptedRecord]:
        """Bring the records into the order of a publication, and return them."""
        self.records.sort(key=lambda record: (record.owner, record.number))
        return self.records


def make_keyholders(count: int, threshold: int, epoch: int = 1) -> list[Holdings]:
    """Let keyholders draw and exchange their seeds; return what each holds."""
    fresh = [
        Holdings(keccak256(b"keyholder %d" % number), DecryptionKey.generate(), {})
        for number in range(1, count + 1)
    ]
    roster = Roster(epoch, threshold, tuple(holder.address for holder in fresh))
    keys = {holder.address: holder.opening.encryption_key for holder in fresh}
    begun = [begin_epoch(holder, roster) for holder in fresh]
    packets = [
        packet
        for holder, seeds in zip(fresh, begun, strict=True)
        for packet in make_packets(seeds, holder.account, keys)
    ]
    complete = [
        seeds.with_seeds(
            open_packet(packet, roster, holder.opening, holder.address)
            for packet in packets
            if packet.recipient == holder.address
        )
        for holder, seeds in zip(fresh, begun, strict=True)
    ]
    return [
        Holdings(holder.account, holder.opening, {epoch: seeds})
        for holder, seeds in zip(fresh, complete, strict=True)
    ]

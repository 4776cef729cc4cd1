"""Trails made without a chain: what the contracts would have written, log by log.

Used where a test wants millions of accesses, or wants to tamper. `tests/ledger/test_policy_property.py`
shows that the rules which make these trails are the contracts' own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count as count_from
from typing import Any, Final

import msgspec
from eth_abi.abi import encode

from ledger.chain import contract_calls
from ledger.chain.deployment import Deployed, Deployment
from ledger.chain.eth_methods import Log
from ledger.chain.events import (
    Accessed,
    AgreementApproved,
    Applied,
    Block,
    ChangeMade,
    ConfidentialitySigned,
    Contracts,
    DatasetRegistered,
    DatasetTerms,
    Event,
    Granted,
    GrantTerms,
    NumberedEvent,
    PartyAdmitted,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeTerms,
    Recorded,
    RecorderNamed,
    SubjectRegistered,
    Text,
)
from ledger.chain.events.decoder import (
    ACCESSED_TOPIC,
    ITEM_ACCESSED_TOPIC,
    PLANS,
    RECORDED_TOPIC,
    EventDecoder,
)
from ledger.chain.events.identifiers import access_id, agreement_id, application_id, dataset_id
from ledger.crypto import signatures
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.released_parts import is_committed, make_nonce, nonce_word
from ledger.hexstr import keccak256, to_hex
from ledger.model import ZERO_WORD, Change, Class, Delays, EventChain, EventState, State
from ledger.policy import decide
from ledger.replay.journal_check import ReleaseEntry
from ledger.replay.report import End
from ledger.state import apply, count, follow
from ledger.typed_data import AccessRequest, Authorization, Domain, digest_of, struct_hash
from scripts.scenario import Parties, Party

CHAIN_ID: Final = 18_317
CONTRACTS: Final = Contracts(*(bytes([0xC0 + number]) * 20 for number in range(5)))
DELAYS: Final = Delays(recovery=3600, admission=0)
DOMAIN: Final = Domain(CHAIN_ID, CONTRACTS.access_log)
START: Final = 1_790_000_000
YEAR: Final = 365 * 24 * 3600
FIELDS: Final = 12
_BY_CLASS: Final = {plan.event: plan for plans in PLANS.values() for plan in plans}
_CONTRACT_OF: Final = {
    plan.event: getattr(CONTRACTS, name) for name, plans in PLANS.items() for plan in plans
}


def deployment(**changes: object) -> Deployment:
    return msgspec.structs.replace(_deployment(), **changes)


@cache
def _deployment() -> Deployment:
    return Deployment(
        chain_id=CHAIN_ID,
        genesis_hash=ZERO_WORD,
        block_number=1,
        authority=Parties().authority.address,
        trial=True,
        admission_delay=DELAYS.admission,
        recovery_delay=DELAYS.recovery,
        release_window=3600,
        head_age=60,
        compiler="none",
        deployed={
            "Registry": Deployed(CONTRACTS.registry, ZERO_WORD),
            "Catalogue": Deployed(CONTRACTS.catalogue, ZERO_WORD),
            "Agreements": Deployed(CONTRACTS.agreements, ZERO_WORD),
            "Authorizations": Deployed(CONTRACTS.authorizations, ZERO_WORD),
            "AccessLog": Deployed(CONTRACTS.access_log, ZERO_WORD),
            "ERC7913WebAuthnVerifier": Deployed(bytes(20), ZERO_WORD),
        },
    )


def encode_log(event: Event) -> Log:
    if isinstance(event, Accessed):
        topic = ACCESSED_TOPIC if event.item == ZERO_WORD else ITEM_ACCESSED_TOPIC
        return _log(event, (topic, event.basis), event.data)
    if isinstance(event, Recorded):
        ending = (RECORDED_TOPIC, event.recorder.rjust(32, b"\0"))
        return _log(event, ending, event.sequence.to_bytes(32, "big") + event.head)
    assert isinstance(event, NumberedEvent)
    plan = _BY_CLASS[type(event)]
    names = type(event).__struct_fields__[len(NumberedEvent.__struct_fields__) :]
    pairs = [
        (part, _plain(part.type, getattr(event, name)))
        for part, name in zip(plan.parts, names, strict=True)
    ]
    topics = tuple(encode([part.type], [value]) for part, value in pairs if part.indexed)
    rest = [(part.type, value) for part, value in pairs if not part.indexed]
    rest.insert(0, ("uint64", event.number))
    data = encode([kind for kind, _ in rest], [value for _, value in rest])
    return _log(event, (plan.topic, *topics), data)


def _plain(kind: str, value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        values = msgspec.structs.astuple(value)
        return tuple(_plain("address" if _is_address(one) else "", one) for one in values)
    if isinstance(value, tuple):
        return tuple(_plain("", one) for one in value)
    return to_hex(value) if kind == "address" else value


def _is_address(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 20


def _log(event: Event, topics: Sequence[bytes], data: bytes) -> Log:
    return Log(
        block_number=hex(event.block.number),
        block_hash=to_hex(event.block.hash),
        transaction_hash=to_hex(event.transaction),
        log_index=hex(event.log_index),
        address=to_hex(event.contract),
        topics=tuple(map(to_hex, topics)),
        data=to_hex(data),
        block_timestamp=hex(event.block.timestamp),
    )


def block_at(number: int) -> Block:
    return Block(number, keccak256(b"block" + number.to_bytes(8, "big")), START + number)


@dataclass
class Trail:
    """A trail that grows; its state is kept along."""

    state: State = field(default_factory=lambda: State(DELAYS))
    logs: list[Log] = field(default_factory=list)
    entries: list[ReleaseEntry] = field(default_factory=list)
    block: Block = field(default_factory=lambda: block_at(1))
    log_index: int = 0
    transactions: int = 0

    @property
    def end(self) -> End:
        return end_of(self.state)

    def next_block(self) -> None:
        self.block, self.log_index = block_at(self.block.number + 1), 0
        self.next_transaction()

    def next_transaction(self) -> None:
        self.transactions += 1

    def place(self, contract: bytes) -> tuple[Block, bytes, int, bytes]:
        transaction = keccak256(b"transaction" + self.transactions.to_bytes(8, "big"))
        return self.block, transaction, self.log_index, contract

    def emit(self, kind: type[NumberedEvent], *values: object) -> None:
        contract = _CONTRACT_OF[kind]
        chain = self.state.chains.get(contract, EventChain())
        log = encode_log(kind(*self.place(contract), chain.count + 1, b"", *values))
        follow(self.state, EventDecoder(CONTRACTS).decode(log))
        self.logs.append(log)
        self.log_index += 1

    def record(
        self, requests: Iterable[AccessRequest], *, recorder: Party, signer: Party | None
    ) -> None:
        """Append a call of `record`, and its journal entries when a consumer signs."""
        self.next_block()
        for request in requests:
            event = made_access(self.place(CONTRACTS.access_log), self.state, request)
            count(self.state, event, event.outcome)
            self.logs.append(encode_log(event))
            self.log_index += 1
            if signer is not None:
                self.entries.append(entry_of(event, signer))
        state = self.state
        ending = Recorded(
            *self.place(CONTRACTS.access_log), recorder.address, state.sequence, state.head
        )
        apply(state, ending)
        self.logs.append(encode_log(ending))


def end_of(state: State) -> End:
    addresses = msgspec.structs.astuple(CONTRACTS)[:4]
    chains = [state.chains.get(address, EventChain()) for address in addresses]
    events = [EventState(chain.count, chain.head) for chain in chains]
    return End(state.sequence, state.head, *events)


def made_access(
    place: tuple[Block, bytes, int, bytes], state: State, request: AccessRequest
) -> Accessed:
    sequence, outcome = state.sequence + 1, decide(state, request, place[0].timestamp)
    entry = (
        int.from_bytes(request.consumer, "big") << 96
        | sequence << 48
        | request.deadline << 8
        | outcome
    )
    words = (request.fields, request.nonce, entry)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    return Accessed(
        *place,
        request.basis,
        request.fields,
        request.nonce,
        request.consumer,
        sequence,
        request.deadline,
        outcome,
        request.item,
        data if request.item == ZERO_WORD else data + request.item,
    )


def entry_of(event: Accessed, signer: Party) -> ReleaseEntry:
    id_ = access_id(event)
    signature = signatures.sign(digest_of(id_, DOMAIN), signer.private_key)
    released = not event.outcome
    key = None
    if released:
        key = next(
            key
            for key in map(answer_key, count_from(0))
            if is_committed(DOMAIN, event.consumer, event.nonce, key)
        )
    return ReleaseEntry(
        id_, event.sequence, event.transaction, signature, released=released, key=key
    )


@cache
def answer_key(number: int) -> bytes:
    secret = keccak256(b"answer key" + number.to_bytes(8, "big"))
    return DecryptionKey(b"\x01" + secret).encryption_key.to_bytes()


@dataclass(frozen=True)
class City:
    """What a trail starts with: two consumers with agreements, and people who granted."""

    trail: Trail
    parties: Parties
    dataset: bytes
    authorizations: tuple[bytes, ...]

    def request(
        self, number: int, *, basis: int = 0, fields: int = 1, consumer: Party | None = None
    ) -> AccessRequest:
        """A consumer's request; the number stands for its nonce."""
        asking = (consumer or self.parties.bank).address
        return AccessRequest(
            consumer=asking,
            basis=self.authorizations[basis % len(self.authorizations)],
            item=ZERO_WORD,
            fields=fields,
            nonce=make_nonce(nonce_word(DOMAIN, asking, answer_key(number >> 8)), number & 0xFF),
            deadline=START + YEAR,
        )

    def record(self, requests: Iterable[AccessRequest]) -> None:
        self.trail.record(requests, recorder=self.parties.recorder, signer=self.parties.bank)

    def invent(self, requests: Iterable[AccessRequest]) -> None:
        """Record what the bank did not sign, as a recorder alone can."""
        self.trail.record(requests, recorder=self.parties.recorder, signer=None)


def make_city(people: int, *, max_uses: int = 1_000_000, min_interval: int = 0) -> City:
    trail, parties = Trail(), Parties()
    trail.emit(ChangeMade, Change.AUTHORITY, parties.authority.address, bytes(20))
    for party in (*parties.founders, *parties.admitted):
        trail.emit(PartyAdmitted, party.address, int(party.roles), party.name)
    for party in parties.consumers:
        trail.emit(RecorderNamed, party.address, parties.recorder.address)
    provider, bank = parties.provider, parties.bank
    terms = DatasetTerms(
        code="real-estate",
        title="Real estate 不动产登记",
        fields=tuple(f"field {number}" for number in range(FIELDS)),
        sharing=Class.CONDITIONAL,
        open=Class.NOT_SHARED,
        grade=3,
        personal=True,
        update_cycle=86_400,
    )
    dataset = dataset_id(provider.address, terms.code.encode())
    trail.emit(DatasetRegistered, dataset, provider.address, terms)
    bounds = PurposeTerms("loan", (Text("en", "I let {consumer} read."),), YEAR, max_uses, 0, YEAR)
    purpose = contract_calls.purpose_id(bounds)
    fields = (1 << FIELDS) - 1
    trail.emit(PurposeRegistered, purpose, bounds)
    trail.emit(PurposeFieldsBound, purpose, dataset, fields)
    application = application_id(bank.address, dataset, purpose, fields, ZERO_WORD)
    trail.emit(Applied, application, bank.address, dataset, purpose, fields, "Loans.", ZERO_WORD)
    trail.emit(ConfidentialitySigned, application, bank.address, keccak256(b"text"), ZERO_WORD)
    agreement = agreement_id(bank.address, dataset, purpose)
    trail.emit(AgreementApproved, agreement, application, 1, 0, fields, START + 2 * YEAR)
    ids = []
    for number in range(1, people + 1):
        if number % 500 == 1:
            trail.next_block()
        subject = keccak256(b"subject" + number.to_bytes(8, "big"))
        signer = subject[:20]
        registrar = parties.identity_authority.address
        trail.emit(SubjectRegistered, subject, number, registrar, signer)
        record = Authorization(
            subject=subject,
            consumer=bank.address,
            dataset=dataset,
            item=ZERO_WORD,
            purpose=purpose,
            fields=fields,
            case_reference=keccak256(subject),
            statement="I let Quancheng Bank read.",
            not_before=START,
            expires_at=START + YEAR,
            max_uses=max_uses,
            min_interval=min_interval,
            nonce=ZERO_WORD,
            deadline=START + YEAR,
        )
        values = list(msgspec.structs.astuple(record))
        values[7] = keccak256(record.statement.encode())
        ids.append(struct_hash(record))
        signed = keccak256(signer)
        granted = (ids[-1], subject, bank.address, GrantTerms(*values), 1, 0, 0, signed)
        trail.emit(Granted, *granted)
    return City(trail, parties, dataset, tuple(ids))

"""A small world for keyholders: a dataset with records, a person who granted, an access to answer.

`World` feeds a keyholder's `ChainState` with the events that the contracts would emit, so the rules can
be tried on any history without a node.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ledger.api import KeyedSubmission, Location, ReleaseTask, SignedLink
from ledger.chain.events import (
    Accessed,
    AgreementApproved,
    Applied,
    Block,
    ConfidentialitySigned,
    DatasetRegistered,
    DatasetTerms,
    EncryptionKeySet,
    Event,
    Granted,
    GrantTerms,
    NumberedEvent,
    OrderCountersigned,
    OrderIssued,
    OrderTerms,
    PartyAdmitted,
    Published,
    PurposeFieldsBound,
    PurposeRegistered,
    PurposeTerms,
    RecordErased,
    SubjectRegistered,
)
from ledger.chain.events.identifiers import agreement_id
from ledger.crypto import signatures
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.records import EncryptedRecord, encrypt_record
from ledger.crypto.secret_sharing import (
    Sharing,
    combine_subkeys,
    derive_subkeys,
)
from ledger.crypto.statement import Names
from ledger.encoding import Schema
from ledger.hexstr import keccak256
from ledger.links import make_link
from ledger.model import ZERO_WORD, Class, Delays, Outcome, Roles
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    Domain,
    SubjectLink,
    digest,
    struct_hash,
)
from scripts.answer_keys import DrawnKeys
from scripts.statements import TEXTS, pairs, stated
from tests.support.answers import Version, make_seeds
from tests.support.provider import prove_owner
from wallet.keyholder.chain_state import ChainState
from wallet.keyholder.rules import Rules
from wallet.links import RememberedLinks

EPOCH: Final = 1
DELAYS: Final = Delays(recovery=1_000, admission=0)
SHARING: Final = Sharing(2, 3)
NAMES: Final = ("name", "district", "area", "mortgage")
ACCESS_LOG: Final = Domain(18_317, b"\x05" * 20)
AUTHORIZATIONS: Final = Domain(18_317, b"\x04" * 20)
NOW: Final = 1_800_000_000
LAG: Final = 3_600
WINDOW: Final = 3_600
LAST_SECOND: Final = 2**32 - 1
KEY_OF: Final[dict[int, bytes]] = {}
"""The keys to which requests are to be answered, by nonce."""


def named(name: str) -> bytes:
    """32 bytes that stand for something."""
    return keccak256(name.encode())


PURPOSE: Final = named("purpose")


@dataclass(frozen=True)
class Account:
    """Somebody with a key."""

    name: str

    @property
    def private_key(self) -> bytes:
        return named(f"key of {self.name}")

    @property
    def address(self) -> bytes:
        return signatures.address_of(self.private_key)


BANK: Final = Account("bank")
INSURER: Final = Account("insurer")
PROVIDER: Final = Account("provider")
IDENTITY: Final = Account("identity authority")
REGULATOR: Final = Account("regulator")
STRANGER: Final = Account("stranger")


class World:
    """A register, and everything that happened."""

    def __init__(self) -> None:
        self.register = ChainState(DELAYS, WINDOW)
        self.rules = Rules(ACCESS_LOG, WINDOW, LAG, frozenset((IDENTITY.address,)))
        self.links = RememberedLinks(AUTHORIZATIONS)
        self.seeds = make_seeds()
        self.keys = {account: DecryptionKey.generate() for account in (BANK, INSURER, PROVIDER)}
        self.now = NOW
        self.height = 0
        self._sequence = itertools.count(1)
        self._numbers = itertools.count(1)
        self.answer_keys = {
            account: DrawnKeys(ACCESS_LOG, account.address) for account in (BANK, INSURER, STRANGER)
        }
        self._versions: dict[bytes, list[Version]] = {}
        self._subjects: dict[bytes, Account] = {}
        self._agreements: dict[bytes, int] = {}
        self._applications = itertools.count(1)
        self.bank_name = BANK.name
        self._codes: dict[bytes, str] = {}
        self.records: dict[bytes, Authorization] = {}
        """What people signed, by the authorization's id."""
        for account, roles in (
            (BANK, Roles.CONSUMER),
            (INSURER, Roles.CONSUMER),
            (PROVIDER, Roles.PROVIDER),
            (IDENTITY, Roles.IDENTITY_AUTHORITY),
            (REGULATOR, Roles.REGULATOR),
        ):
            self.happen(PartyAdmitted, party=account.address, roles=roles, title=account.name)
        for account, key in self.keys.items():
            encoded = key.encryption_key.to_bytes()
            self.happen(EncryptionKeySet, party=account.address, key=encoded)
        self.happen(
            PurposeRegistered,
            purpose=PURPOSE,
            terms=PurposeTerms("loan", TEXTS, LAST_SECOND, 1000, 0, 0),
        )

    # What happens on chain

    def happen(self, kind: type[Event], **attributes: Any) -> Event:
        self.height += 1
        self.now += 1
        block = Block(self.height, named(f"block {self.height}"), self.now)
        transaction = named(f"transaction {self.height}")
        if issubclass(kind, NumberedEvent):
            attributes = {"number": next(self._numbers), "link": b"", **attributes}
        event = kind(block=block, transaction=transaction, log_index=0, contract=b"", **attributes)
        self.register.apply(event)
        self.register.reach(block)
        return event

    def pass_time(self, seconds: int) -> None:
        self.height += 1
        self.now += seconds
        block = Block(self.height, named(f"block {self.height}"), self.now)
        self.register.reach(block)

    def register_dataset(
        self, code: str, *, personal: bool = True, sharing: Class = Class.CONDITIONAL
    ) -> Schema:
        """Register a dataset of the provider, and bind all its fields to the purpose."""
        dataset = named(f"dataset {code}")
        terms = DatasetTerms(code, code, NAMES, sharing, Class.NOT_SHARED, 2, personal, 0)
        self.happen(DatasetRegistered, dataset=dataset, provider=PROVIDER.address, terms=terms)
        self._codes[dataset] = code
        every = (1 << len(NAMES)) - 1
        self.happen(PurposeFieldsBound, purpose=PURPOSE, dataset=dataset, fields=every)
        return Schema(dataset, NAMES)

    def signer(self, subject: bytes) -> Account:
        """Whoever signs for a subject; it is registered when it is named first."""
        if subject not in self._subjects:
            account = Account(f"signer of {subject.hex()}")
            self._subjects[subject] = account
            number = len(self._subjects)
            self.happen(
                SubjectRegistered,
                subject=subject,
                subject_number=number,
                registrar=IDENTITY.address,
                signer=account.address,
            )
        return self._subjects[subject]

    def encrypt(self, schema: Schema, owner: bytes, number: int) -> EncryptedRecord:
        subkeys = [derive_subkeys(seeds, schema.dataset) for seeds in self.seeds]
        keys = combine_subkeys(SHARING, subkeys)
        values = [f"{name} of {number}" for name in schema.names]
        return encrypt_record(schema, keys, owner=owner, number=number, values=values)

    def publish(self, schema: Schema, records: Sequence[EncryptedRecord]) -> Version:
        versions = self._versions.setdefault(schema.dataset, [])
        version = Version(len(versions) + 1, list(records))
        versions.append(version)
        head = version.tree.head()
        self.happen(
            Published,
            dataset=schema.dataset,
            version=version.number,
            root=head.root,
            count=head.size,
            base=0,
            manifest=bytes(32),
        )
        return version

    def grant(
        self,
        subject: bytes,
        schema: Schema,
        *,
        fields: int = 0b0111,
        item: bytes = ZERO_WORD,
        seconds: int | None = None,
    ) -> bytes:
        self.signer(subject)
        if self.agreement(schema) not in self._agreements:
            self.agree(schema, fields=(1 << len(NAMES)) - 1)
        unstated = Authorization(
            subject=subject,
            consumer=BANK.address,
            dataset=schema.dataset,
            item=item,
            purpose=PURPOSE,
            fields=fields,
            case_reference=named("case"),
            statement="",
            not_before=0,
            expires_at=LAST_SECOND if seconds is None else self.now + 1 + seconds,
            max_uses=1,
            min_interval=0,
            nonce=named(f"nonce {self.height}"),
            deadline=LAST_SECOND,
        )
        code = self._codes[schema.dataset]
        record = stated(unstated, Names(self.bank_name, code, NAMES, pairs(TEXTS), 0))
        return self.grant_record(record)

    def grant_record(self, record: Authorization) -> bytes:
        signer, authorization = self.signer(record.subject), struct_hash(record)
        self.records[authorization] = record
        values = list(msgspec.structs.astuple(record))
        values[record.__struct_fields__.index("statement")] = keccak256(record.statement.encode())
        agreement = agreement_id(record.consumer, record.dataset, record.purpose)
        self.happen(
            Granted,
            authorization=authorization,
            subject=record.subject,
            consumer=record.consumer,
            terms=GrantTerms(*values),
            agreement=self._agreements[agreement],
            round=0,
            epoch=0,
            signer_hash=keccak256(signer.address),
        )
        return authorization

    @staticmethod
    def agreement(schema: Schema) -> bytes:
        return agreement_id(BANK.address, schema.dataset, PURPOSE)

    def agree(
        self,
        schema: Schema,
        *,
        fields: int = 0b0111,
        seconds: int | None = None,
        round_: int = 0,
    ) -> bytes:
        """Let the provider approve the bank's application; return the agreement's id."""
        application = named(f"application {next(self._applications)}")
        agreement = self.agreement(schema)
        number = self._agreements.setdefault(agreement, len(self._agreements) + 1)
        self.happen(
            Applied,
            application=application,
            consumer=BANK.address,
            dataset=schema.dataset,
            purpose=PURPOSE,
            fields=fields,
            justification="to decide on a loan",
            nonce=bytes(32),
        )
        self.happen(
            AgreementApproved,
            agreement=agreement,
            application=application,
            agreement_number=number,
            round=round_,
            fields=fields,
            expires_at=LAST_SECOND if seconds is None else self.now + 1 + seconds,
        )
        self.happen(
            ConfidentialitySigned,
            application=application,
            consumer=BANK.address,
            text_hash=named("text"),
            nonce=bytes(32),
        )
        return agreement

    def order(
        self,
        schema: Schema,
        *,
        fields: int = 0b0001,
        sharing: Class = Class.UNCONDITIONAL,
        seconds: int = 86_400,
    ) -> bytes:
        """Issue an emergency order; return its id."""
        order = named(f"order {self.height}")
        ends_at = self.now + seconds
        terms = OrderTerms(
            schema.dataset, PURPOSE, sharing, fields, self.now, ends_at, "flood", order
        )
        self.happen(OrderIssued, order=order, dataset=schema.dataset, terms=terms)
        if sharing is not Class.NOT_SHARED:
            self.happen(
                OrderCountersigned,
                order=order,
                dataset=schema.dataset,
                regulator=REGULATOR.address,
            )
        return order

    def erase(self, schema: Schema, item: bytes) -> None:
        self.happen(RecordErased, dataset=schema.dataset, item=item, version=1)

    def request(
        self,
        basis: bytes,
        *,
        consumer: Account = BANK,
        fields: int = 0b0011,
        item: bytes = ZERO_WORD,
    ) -> AccessRequest:
        nonce, key = self.answer_keys[consumer].next()
        KEY_OF[nonce] = key
        return AccessRequest(
            consumer=consumer.address,
            basis=basis,
            item=item,
            fields=fields,
            nonce=nonce,
            deadline=self.now + 600,
        )

    def record(
        self,
        request: AccessRequest,
        outcome: Outcome = Outcome.ALLOWED,
        *,
        sequence: int | None = None,
    ) -> Location:
        words = request.fields.to_bytes(32, "big") + request.nonce.to_bytes(32, "big")
        event = self.happen(
            Accessed,
            basis=request.basis,
            fields=request.fields,
            nonce=request.nonce,
            consumer=request.consumer,
            sequence=next(self._sequence) if sequence is None else sequence,
            deadline=request.deadline,
            outcome=outcome,
            item=request.item,
            data=words,
        )
        return Location(event.block.number, event.transaction, event.log_index)

    # What a gateway tells

    def link(
        self, subject: bytes, schema: Schema, owner: bytes, signer: Account = IDENTITY
    ) -> SignedLink:
        link = make_link(subject, schema.dataset, owner, at=self.now, links_from=0)
        return self.signed_link(link, signer)

    def signed_link(self, link: SubjectLink, signer: Account = IDENTITY) -> SignedLink:
        return SignedLink(link, signatures.sign(digest(link, AUTHORIZATIONS), signer.private_key))

    def task(
        self,
        request: AccessRequest,
        location: Location,
        schema: Schema,
        version: Version,
        *,
        owner: bytes | None = None,
        item: bytes = ZERO_WORD,
        link: SignedLink | None = None,
        signer: Account = BANK,
    ) -> ReleaseTask:
        signature = signatures.sign(digest(request, ACCESS_LOG), signer.private_key)
        submission = KeyedSubmission(request, signature, KEY_OF[request.nonce])
        if item != ZERO_WORD:
            at = version.at(item)
            records: tuple[EncryptedRecord, ...] = (version.records[at].excerpt(()),)
            proof: Any = version.tree.prove_range(at, at + 1)
        elif owner is not None:
            records = version.of(owner)
            entries = [record.entry() for record in version.records]
            proof = prove_owner(version.tree, entries, owner)
        else:
            records = tuple(record.excerpt(()) for record in version.records)
            proof = version.tree.prove_range(0, version.tree.size)
        return ReleaseTask(
            submission,
            location,
            schema.dataset,
            version.number,
            records,
            proof,
            link,
            self.records.get(request.basis),
        )


@dataclass
class Case:
    """A person whose two records a bank may read, and everything that is needed to lie about it."""

    world: World = field(default_factory=World)
    subject: bytes = named("subject")
    owner: bytes = named("owner 3")

    def __post_init__(self) -> None:
        world = self.world
        self.schema = world.register_dataset("real-estate")
        owners = sorted(named(f"owner {number}") for number in range(6))
        self.owners = owners
        self.stranger = next(one for one in owners if one != self.owner)
        # Two records of everybody, three of the person
        self.records = [
            world.encrypt(self.schema, owner, 10 * place + number)
            for place, owner in enumerate(owners)
            for number in range(3 if owner == self.owner else 2)
        ]
        self.version = world.publish(self.schema, self.records)
        self.authorization = world.grant(self.subject, self.schema)
        self.link = world.link(self.subject, self.schema, self.owner)
        self.request = world.request(self.authorization)
        self.location = world.record(self.request)
        self.recorded_at = world.now
        self.order = b""
        self.task = world.task(
            self.request,
            self.location,
            self.schema,
            self.version,
            owner=self.owner,
            link=self.link,
        )

    def retold(
        self, request: AccessRequest, location: Location, *, owner: bytes | None = b""
    ) -> ReleaseTask:
        """The task for another access, to the person's records or to all."""
        return self.world.task(
            request,
            location,
            self.schema,
            self.version,
            owner=self.owner if owner == b"" else owner,
            link=self.link if owner == b"" else None,
        )

    def items(self, owner: bytes) -> list[bytes]:
        return [record.entry().root for record in self.records if record.owner == owner]

    def changed(self, **changes: Any) -> ReleaseTask:
        """The task with other members; the record that the person signed follows the request."""
        request = changes.get("submission", self.task.submission).request
        changes.setdefault("authorization", self.world.records.get(request.basis))
        return msgspec.structs.replace(self.task, **changes)

"""A small world for keyholders: a dataset with records, a person who granted, an access to answer.

`World` feeds a keyholder's `Register` with the events that the contracts would emit, so the rules can
be tried on any history without a node.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ledger import signing
from ledger.custody import (
    HolderSeeds,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_subkeys,
    draw_seeds,
)
from ledger.encoding import Schema
from ledger.enumerations import Class, Outcome, Roles
from ledger.events import (
    WHOLE,
    Accessed,
    AgreementApproved,
    Applied,
    Block,
    DatasetRegistered,
    DatasetTerms,
    EncryptionKeySet,
    Event,
    Granted,
    GrantTerms,
    OrderIssued,
    OrderTerms,
    PartyAdmitted,
    Published,
    RecordErased,
)
from ledger.exchange import Location, ReleaseTask, SignedLink, Submission
from ledger.keccak import keccak256
from ledger.merkle import MerkleTree
from ledger.publications import prove_owner
from ledger.records import EncryptedRecord, encrypt_record
from ledger.sealing import OpeningKey
from ledger.typed_data import AccessRequest, Domain, SubjectLink, digest
from wallet.keyholder.register import Register
from wallet.keyholder.rules import Rules
from wallet.links import RememberedLinks

EPOCH: Final = 1
SHARING: Final = Sharing(2, 3)
NAMES: Final = ("name", "district", "area", "mortgage")
ACCESS_LOG: Final = Domain(18_317, b"\x05" * 20)
AUTHORIZATIONS: Final = Domain(18_317, b"\x04" * 20)
NOW: Final = 1_800_000_000
LAG: Final = 3_600


def named(name: str) -> bytes:
    """32 bytes that stand for something."""
    return keccak256(name.encode())


@dataclass(frozen=True)
class Account:
    """Somebody with a key."""

    name: str

    @property
    def private_key(self) -> bytes:
        return named(f"key of {self.name}")

    @property
    def address(self) -> bytes:
        return signing.address_of(self.private_key)


BANK: Final = Account("bank")
INSURER: Final = Account("insurer")
PROVIDER: Final = Account("provider")
IDENTITY: Final = Account("identity authority")
STRANGER: Final = Account("stranger")


def make_seeds(sharing: Sharing = SHARING, epoch: int = EPOCH) -> list[HolderSeeds]:
    """The seeds of all holders after a ceremony."""
    numbers = range(1, sharing.holders + 1)
    drawn = [seed for holder in numbers for seed in draw_seeds(sharing, holder, epoch)]
    return [
        assemble_seeds(sharing, holder, epoch, [seed for seed in drawn if holder in seed.subset])
        for holder in numbers
    ]


@dataclass
class Version:
    """A publication: its records in order, and the tree over them."""

    number: int
    records: list[EncryptedRecord]
    tree: MerkleTree = field(init=False)

    def __post_init__(self) -> None:
        self.records.sort(key=lambda record: (record.owner, record.number))
        self.tree = MerkleTree.of(record.entry().leaf() for record in self.records)

    def of(self, owner: bytes) -> tuple[EncryptedRecord, ...]:
        """The records of an owner, without ciphertexts."""
        return tuple(record.excerpt(()) for record in self.records if record.owner == owner)

    def at(self, item: bytes) -> int:
        """The place of a record."""
        return [record.entry().root for record in self.records].index(item)


class World:
    """A register, and everything that happened."""

    def __init__(self) -> None:
        self.register = Register()
        self.rules = Rules(ACCESS_LOG, LAG)
        self.links = RememberedLinks(AUTHORIZATIONS)
        self.seeds = make_seeds()
        self.keys = {account: OpeningKey.generate() for account in (BANK, INSURER, PROVIDER)}
        self.now = NOW
        self.height = 0
        self._sequence = itertools.count(1)
        self._nonces = itertools.count(1)
        self._versions: dict[bytes, list[Version]] = {}
        for account, roles in (
            (BANK, Roles.CONSUMER),
            (INSURER, Roles.CONSUMER),
            (PROVIDER, Roles.PROVIDER),
            (IDENTITY, Roles.IDENTITY_AUTHORITY),
        ):
            self.happen(PartyAdmitted, party=account.address, roles=roles, title=account.name)
        for account, key in self.keys.items():
            encoded = key.encryption_key.to_bytes()
            self.happen(EncryptionKeySet, party=account.address, key=encoded)

    # What happens on chain

    def happen(self, kind: type[Event], **attributes: Any) -> Event:
        """Let one event happen, in a block of its own."""
        self.height += 1
        self.now += 1
        block = Block(self.height, named(f"block {self.height}"), self.now)
        transaction = named(f"transaction {self.height}")
        event = kind(block=block, transaction=transaction, log_index=0, contract=b"", **attributes)
        self.register.apply(event)
        self.register.reach(self.height)
        return event

    def register_dataset(self, code: str, *, personal: bool = True) -> Schema:
        """Register a dataset of the provider."""
        dataset = named(f"dataset {code}")
        terms = DatasetTerms(code, code, NAMES, Class.CONDITIONAL, Class.NOT_SHARED, 2, personal, 0)
        self.happen(DatasetRegistered, dataset=dataset, provider=PROVIDER.address, terms=terms)
        return Schema(dataset, NAMES)

    def encrypt(self, schema: Schema, owner: bytes, number: int) -> EncryptedRecord:
        """Make a record as the provider does."""
        subkeys = [derive_subkeys(seeds, schema.dataset) for seeds in self.seeds]
        keys = combine_subkeys(SHARING, subkeys)
        values = [f"{name} of {number}" for name in schema.names]
        return encrypt_record(schema, keys, owner=owner, number=number, values=values)

    def publish(self, schema: Schema, records: Sequence[EncryptedRecord]) -> Version:
        """Publish a version."""
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
        self, subject: bytes, schema: Schema, *, fields: int = 0b0111, item: bytes = WHOLE
    ) -> bytes:
        """Let a subject authorize the bank."""
        authorization = named(f"authorization {self.height}")
        terms = GrantTerms(
            subject=subject,
            consumer=BANK.address,
            dataset=schema.dataset,
            item=item,
            purpose=named("purpose"),
            fields=fields,
            case_reference=named("case"),
            statement_hash=named("statement"),
            not_before=0,
            expires_at=2**40,
            max_uses=1,
            min_interval=0,
            nonce=named("nonce"),
            deadline=2**40,
        )
        self.happen(
            Granted,
            authorization=authorization,
            subject=subject,
            consumer=BANK.address,
            terms=terms,
            agreement=1,
            epoch=0,
            signer=STRANGER.address,
        )
        return authorization

    def agree(self, schema: Schema, *, fields: int = 0b0111) -> bytes:
        """Let the provider approve the bank's application; return the agreement's id."""
        application, agreement = named("application"), named("agreement")
        self.happen(
            Applied,
            application=application,
            consumer=BANK.address,
            dataset=schema.dataset,
            purpose=named("purpose"),
            fields=fields,
            justification="",
            nonce=bytes(32),
        )
        self.happen(
            AgreementApproved,
            agreement=agreement,
            application=application,
            number=1,
            fields=fields,
            expires_at=2**40,
        )
        return agreement

    def order(self, schema: Schema, *, fields: int = 0b0001) -> bytes:
        """Issue an emergency order; return its id."""
        order = named("order")
        terms = OrderTerms(
            schema.dataset, named("purpose"), Class.UNCONDITIONAL, fields, 0, 2**40, "flood", order
        )
        self.happen(OrderIssued, order=order, dataset=schema.dataset, terms=terms)
        return order

    def erase(self, schema: Schema, item: bytes) -> None:
        """Put a record's tombstone on chain."""
        self.happen(RecordErased, dataset=schema.dataset, item=item, version=1)

    def request(
        self, basis: bytes, *, consumer: Account = BANK, fields: int = 0b0011, item: bytes = WHOLE
    ) -> AccessRequest:
        """What a consumer would sign."""
        return AccessRequest(
            consumer=consumer.address,
            basis=basis,
            item=item,
            fields=fields,
            nonce=next(self._nonces),
            deadline=self.now + 600,
        )

    def record(self, request: AccessRequest, outcome: Outcome = Outcome.ALLOWED) -> Location:
        """Record an access."""
        event = self.happen(
            Accessed,
            basis=request.basis,
            fields=request.fields,
            nonce=request.nonce,
            consumer=request.consumer,
            sequence=next(self._sequence),
            deadline=request.deadline,
            outcome=outcome,
            item=request.item,
            data=b"",
        )
        return Location(event.block.number, event.transaction, event.log_index)

    # What a gateway tells

    def link(
        self, subject: bytes, schema: Schema, owner: bytes, signer: Account = IDENTITY
    ) -> SignedLink:
        """A link that somebody signed."""
        link = SubjectLink(subject, schema.dataset, owner)
        return SignedLink(link, signing.sign(digest(link, AUTHORIZATIONS), signer.private_key))

    def task(
        self,
        request: AccessRequest,
        location: Location,
        schema: Schema,
        version: Version,
        *,
        owner: bytes | None = None,
        item: bytes = WHOLE,
        link: SignedLink | None = None,
        signer: Account = BANK,
    ) -> ReleaseTask:
        """What an honest gateway sends for an access."""
        signature = signing.sign(digest(request, ACCESS_LOG), signer.private_key)
        submission = Submission(request, signature)
        if item != WHOLE:
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
            submission, location, schema.dataset, version.number, records, proof, link
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
        self.task = world.task(
            self.request,
            self.location,
            self.schema,
            self.version,
            owner=self.owner,
            link=self.link,
        )

    def items(self, owner: bytes) -> list[bytes]:
        """The record roots of an owner."""
        return [record.entry().root for record in self.records if record.owner == owner]

    def changed(self, **changes: Any) -> ReleaseTask:
        """The task with other members."""
        return msgspec.structs.replace(self.task, **changes)

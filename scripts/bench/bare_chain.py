"""A chain with the contracts, a consumer with an agreement, and people who granted: what peers work on.

Everything is sent by raw JSON-RPC in prepared transactions, so that also a long trail is soon there.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from ledger import contracts, queries
from ledger.answer_keys import REQUESTS_PER_KEY
from ledger.consents import Names
from ledger.contracts import Approval, ContractCall
from ledger.deployment import Founder, deploy
from ledger.enumerations import Class, Roles
from ledger.events import DatasetTerms, PurposeTerms
from ledger.events.identifiers import application_id, dataset_id
from ledger.node import Node, NodeSettings
from ledger.rpc import Rpc
from ledger.sender import Sender
from ledger.signing import address_of, sign
from ledger.transactions import GAS_CAP, Fee, SignedTransaction, Transaction, sign_transaction
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    ConfidentialityAgreement,
    SignedRecord,
    digest,
    struct_hash,
)
from scripts.answer_keys import DrawnKeys
from scripts.statements import TEXTS, pairs, stated

FIELDS: Final = tuple(f"field {number}" for number in range(12))
ALL_FIELDS: Final = (1 << len(FIELDS)) - 1
ASKED_FIELDS: Final = 0b111
"""Three fields of twelve."""
DAY: Final = 24 * 3600
YEAR: Final = 365 * DAY
MOST_USES: Final = 1_000_000
RECOVERY_DELAY: Final = 3600
PURPOSE: Final = PurposeTerms(
    code="bench-loan",
    texts=TEXTS,
    max_validity=YEAR,
    max_uses=MOST_USES,
    min_interval=0,
    retention=YEAR,
)
BANK_NAME: Final = "Bank"
_TITLE: Final = "Bench"
_SUBJECTS_AT_ONCE: Final = 100
_GRANTS_AT_ONCE: Final = 400


@dataclass(frozen=True)
class Account:
    """Somebody with a key, drawn anew in each run."""

    private_key: bytes

    @classmethod
    def draw(cls) -> Self:
        """Draw a key."""
        return cls(secrets.token_bytes(32))

    @property
    def address(self) -> bytes:
        """Its address."""
        return address_of(self.private_key)


@dataclass(frozen=True)
class Person:
    """A person who granted the consumer one authorization for many uses."""

    subject: bytes
    account: Account
    authorization: Authorization

    @property
    def basis(self) -> bytes:
        """Id of the authorization."""
        return struct_hash(self.authorization)


class BareChain:
    """A node with everything that an access needs on chain, and nothing else around it.

    Args:
        node: new and running.
        people: how many grant.
    """

    def __init__(self, node: Node, people: int) -> None:
        self.node = node
        self.rpc = Rpc(node.url)
        self.authority, self.provider, self.bank = (Account.draw() for _ in range(3))
        self.recorder, self.identity, self.regulator = (Account.draw() for _ in range(3))
        self.deployment = deploy(
            self.rpc,
            self.authority.private_key,
            founders=[
                Founder(self.identity.address, Roles.IDENTITY_AUTHORITY, "Identity authority"),
                Founder(self.regulator.address, Roles.REGULATOR, "Regulator"),
            ],
            trial=True,
            admission_delay=0,
            recovery_delay=RECOVERY_DELAY,
        )
        self._keys = self.draw_keys()
        self._admit()
        self.dataset = self._agree()
        self.people = self._grant(people)

    def close(self) -> None:
        """Close the connection."""
        self.rpc.close()

    def send(self, account: Account, *calls: ContractCall) -> list[queries.Receipt]:
        """Send transactions at once, in order, and wait for their blocks; return their receipts."""
        at = self.deployment.address_of
        sender = Sender(self.rpc, account.private_key)
        return sender.send_all([(at(call.contract), call.data) for call in calls])

    def sign(self, record: SignedRecord, account: Account) -> bytes:
        """Sign an EIP-712 record for this deployment."""
        return sign(digest(record, self.deployment.domain_of(record)), account.private_key)

    def requests(self, count: int, keys: DrawnKeys | None = None) -> list[AccessRequest]:
        """Make requests of the bank, each on the next person's authorization.

        Args:
            count: how many.
            keys: of their answers; the bank's usual ones if left out.
        """
        deadline = int(time.time()) + DAY
        turn = itertools.islice(itertools.cycle(self.people), count)
        return [
            AccessRequest(
                consumer=self.bank.address,
                basis=person.basis,
                item=bytes(32),
                fields=ASKED_FIELDS,
                nonce=(keys or self._keys).next()[0],
                deadline=deadline,
            )
            for person in turn
        ]

    def draw_keys(self, requests_per_key: int = REQUESTS_PER_KEY) -> DrawnKeys:
        """Return new keys for the answers to the bank."""
        domain = self.deployment.domain_of(AccessRequest)
        return DrawnKeys(domain, self.bank.address, requests_per_key=requests_per_key)

    def transactions(
        self, requests: Sequence[AccessRequest], size: int
    ) -> Iterator[SignedTransaction]:
        """Sign transactions of the recorder that record requests, so many in each."""
        nonce = self.rpc.send(queries.transaction_count(self.recorder.address, "pending"))
        for start in range(0, len(requests), size):
            yield self.transaction(requests[start : start + size], nonce)
            nonce += 1

    def transaction(self, requests: Sequence[AccessRequest], nonce: int) -> SignedTransaction:
        """Sign one transaction that records requests."""
        encoded = tuple(map(contracts.encode_request, requests))
        data = contracts.record([contracts.RequestGroup(self.bank.address, encoded)]).data
        to = self.deployment.contracts.access_log
        content = Transaction(self.deployment.chain_id, nonce, GAS_CAP, Fee(0, 0), to, data)
        return sign_transaction(content, self.recorder.private_key)

    def _admit(self) -> None:
        roles = (
            (self.provider, Roles.PROVIDER, "Provider"),
            (self.bank, Roles.CONSUMER, BANK_NAME),
            (self.recorder, Roles.RECORDER, "Gateway"),
        )
        self.send(
            self.authority,
            *(contracts.admit(account.address, role, name) for account, role, name in roles),
        )
        self.send(self.bank, contracts.name_recorder(self.recorder.address))

    def _agree(self) -> bytes:
        """Register a dataset and a purpose, and make an agreement; return the dataset's id."""
        terms = DatasetTerms(
            "bench", _TITLE, FIELDS, Class.CONDITIONAL, Class.NOT_SHARED, 2, True, 0
        )
        dataset = dataset_id(self.provider.address, terms.code.encode())
        self.purpose = contracts.purpose_id(PURPOSE)
        nonce, until = secrets.token_bytes(32), int(time.time()) + 2 * YEAR
        bank = self.bank.address
        application = application_id(bank, dataset, self.purpose, ALL_FIELDS, nonce)
        text = ConfidentialityAgreement(bank, application, "We keep it.", nonce, until)
        self.send(self.provider, contracts.register_dataset(terms))
        self.send(
            self.authority,
            contracts.register_purpose(PURPOSE),
            contracts.bind_fields(self.purpose, dataset, ALL_FIELDS),
        )
        self.send(
            self.bank,
            contracts.apply_for(dataset, self.purpose, ALL_FIELDS, "To measure.", nonce),
            contracts.sign_confidentiality(text, self.sign(text, self.bank)),
        )
        self.send(self.provider, contracts.approve(application, ALL_FIELDS, until))
        return dataset

    def _grant(self, count: int) -> list[Person]:
        people = [self.new_person() for _ in range(count)]
        parts = [
            people[start : start + _SUBJECTS_AT_ONCE]
            for start in range(0, count, _SUBJECTS_AT_ONCE)
        ]
        self.send(
            self.identity,
            *(
                contracts.register_subjects(
                    [one.subject for one in part], [one.account.address for one in part]
                )
                for part in parts
            ),
        )
        for start in range(0, count, _GRANTS_AT_ONCE):
            some = people[start : start + _GRANTS_AT_ONCE]
            self.send(self.authority, *map(self._grant_call, some))
        return people

    def new_person(self) -> Person:
        """Draw a person that is not registered, with what it could grant."""
        now = int(time.time())
        subject, account = secrets.token_bytes(32), Account.draw()
        authorization = Authorization(
            subject=subject,
            consumer=self.bank.address,
            dataset=self.dataset,
            item=bytes(32),
            purpose=self.purpose,
            fields=ALL_FIELDS,
            case_reference=secrets.token_bytes(32),
            statement="",
            not_before=now - 60,
            expires_at=now + YEAR - DAY,
            max_uses=MOST_USES,
            min_interval=0,
            nonce=secrets.token_bytes(32),
            deadline=now + DAY,
        )
        return Person(subject, account, stated(authorization, names_of(BANK_NAME)))

    def _grant_call(self, person: Person) -> ContractCall:
        record, account = person.authorization, person.account
        return contracts.grant(record, Approval(account.address, self.sign(record, account)))


def names_of(consumer: str) -> Names:
    """Return what a person is shown who grants to a consumer of this name."""
    return Names(consumer, _TITLE, FIELDS, pairs(PURPOSE.texts), PURPOSE.retention)


@contextmanager
def bare_chain(
    home: Path, people: int, block_time: float, say: Callable[[str], None]
) -> Iterator[BareChain]:
    """Run a chain until the context ends."""
    with Node(NodeSettings(home / "chain", block_time=block_time)) as node:
        began = time.monotonic()
        chain = BareChain(node, people)
        say(f"a bare chain where {people:,} people granted ({time.monotonic() - began:.1f} s)")
        try:
            yield chain
        finally:
            chain.close()

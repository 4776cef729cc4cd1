"""A chain whose bank has an agreement, and people who granted it many uses: what peers work on."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain import contract_calls, eth_methods
from ledger.chain.embedded import Node, NodeSettings
from ledger.chain.transactions import GAS_CAP, Fee, SignedTransaction, Transaction, sign_transaction
from ledger.crypto.released_parts import REQUESTS_PER_KEY
from ledger.typed_data import AccessRequest, Authorization, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.scenario import DAY, MAX_USES, YEAR, Chain, Party, Subject

ASKED_FIELDS: Final = 0b111
"""Three fields of twelve."""
_VALIDITY: Final = YEAR - DAY


class Granter(msgspec.Struct, frozen=True):
    """A person who granted the bank one authorization for many uses."""

    subject: Subject
    authorization: Authorization

    @property
    def basis(self) -> bytes:
        """Id of the authorization."""
        return struct_hash(self.authorization)


class BareChain(Chain):
    """A node with everything that an access needs on chain, and nothing else around it."""

    def __init__(self, node: Node, people: int) -> None:
        super().__init__(node)
        self.terms = self.personal_terms()
        self._keys = self.draw_keys()
        subjects = self.register_subjects(people)
        granted = self.grant_all(subjects, self.terms, max_uses=MAX_USES, validity=_VALIDITY)
        self.people = list(map(Granter, subjects, granted))

    def many_uses(self, subject: Subject) -> Authorization:
        """Return what each of the people signed: an authorization of the bank for many uses."""
        return self.authorization(subject, self.terms, max_uses=MAX_USES, validity=_VALIDITY)

    def requests(self, count: int, keys: DrawnKeys | None = None) -> list[AccessRequest]:
        """Make requests of the bank, each on the next person's authorization.

        Args:
            count: how many.
            keys: of their answers; the bank's usual ones if left out.
        """
        deadline, bank = int(time.time()) + DAY, self.parties.bank.address
        turn = itertools.islice(itertools.cycle(self.people), count)
        return [
            AccessRequest(
                consumer=bank,
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
        return DrawnKeys(domain, self.parties.bank.address, requests_per_key=requests_per_key)

    def transactions(
        self, requests: Sequence[AccessRequest], size: int
    ) -> Iterator[SignedTransaction]:
        """Sign transactions of the recorder that record requests, so many in each."""
        nonce = self.rpc.send(
            eth_methods.transaction_count(self.parties.recorder.address, "pending")
        )
        for start in range(0, len(requests), size):
            yield record_all(self, self.parties.recorder, requests[start : start + size], nonce)
            nonce += 1


def record_all(
    chain: Chain, recorder: Party, requests: Sequence[AccessRequest], nonce: int
) -> SignedTransaction:
    groups = [
        contract_calls.RequestGroup(consumer, tuple(map(contract_calls.encode_request, some)))
        for consumer, some in itertools.groupby(requests, lambda request: request.consumer)
    ]
    data = contract_calls.record(groups).data
    to = chain.deployment.contracts.access_log
    content = Transaction(chain.deployment.chain_id, nonce, GAS_CAP, Fee(0, 0), to, data)
    return sign_transaction(content, recorder.private_key)


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

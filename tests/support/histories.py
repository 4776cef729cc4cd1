"""Running histories through the real contracts and the Python rules at once, comparing everything.

Time stands still on the chain but for what a history says: blocks are mined by hand, with the time
that it names, and a snapshot brings the chain back to where every history starts.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from ledger.chain import eth_methods
from ledger.chain.eth_methods import Receipt
from ledger.chain.events import Accessed, Block, Event, Granted, NumberedEvent
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.rpc import Call
from ledger.crypto.statement import names_at_grant, verify_consent
from ledger.hexstr import to_hex
from ledger.model import Change, Class, Outcome
from ledger.state import ImpossibleEventError, apply, chain_on, follow
from scripts.scenario import Chain
from tests.support import acts_of_consumers, acts_of_parties, acts_of_people
from tests.support.acts_of_consumers import Ask
from tests.support.world import TRANSACTION, Act, Attempt, World

GAS: Final = 3_000_000
HOUR: Final = 3600


@dataclass(frozen=True)
class Step:
    """One block: how many seconds after the one before, and what is tried in it."""

    jump: int
    acts: tuple[Act, ...]


# Drawing histories: what a name means is the same in every act.


def mostly(*usual: Any, rarely: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """Draw one of the usual values, or in one case of twelve one that will not do."""
    if not rarely:
        return st.sampled_from(usual)
    return st.integers(0, 11).flatmap(lambda luck: st.sampled_from(usual if luck else rarely))


_CALLER: Final = mostly(0, rarely=range(1, 10))
"""Zero is the right one."""
_INDEX: Final = mostly(-1, -2, -3, -4, -5, rarely=range(10))
"""Into a pool: below zero the newest that fit, else any; zero is unknown."""

_BY_NAME: Final[dict[str, st.SearchStrategy[Any]]] = {
    "caller": _CALLER,
    "regulator": _CALLER,
    "party": st.integers(0, 8),
    "consumer": mostly(3, 4, rarely=range(9)),
    "provider": mostly(1, 2, rarely=range(9)),
    "roles": mostly(2, 3, 4, 7, 8, 32, 40, rarely=[0, 33, 34, 63, 64]),
    "text": mostly(1, rarely=[0]),
    "name": mostly(1, rarely=[0, 2]),
    "change": st.sampled_from(Change),
    "first": mostly(-1, 0, 0, rarely=range(1, 9)),
    "second": mostly(0, rarely=range(1, 9)),
    "sequence": mostly(0, 0, 1, 2, rarely=[-1, 50]),
    "length": mostly(2, 33, rarely=[0, 1]),
    "offset": mostly(-3, -1, 0, 0, 0, 1, 2, 5),
    "validity": mostly(1, 2, 4, 30, 30, 30, HOUR, HOUR, rarely=[-1, 0, HOUR + 1]),
    "deadline": mostly(0, 1, 100, 100, rarely=[-1]),
    "jump": mostly(1, 1, 1, 2, 3, 5, 60, rarely=[HOUR]),
    "code": mostly(1, 2, 3, rarely=[0]),
    "count": mostly(1, 3, 3, 256, rarely=[0, 257, -2]),
    "personal": st.booleans(),
    "sharing": st.sampled_from(Class),
    "grade": mostly(1, 2, 4, rarely=[0, 5]),
    "fields": mostly(1, 1, 2, 3, 3, 7, rarely=[0, 5, 8]),
    "item": mostly(0, 0, 1, 1, 2),
    "base": mostly(0, 1, rarely=[2, 9]),
    "uses": mostly(1, 1, 2, rarely=[0, 3, 5, 6]),
    "interval": mostly(0, 3, 3, 4, rarely=[1, 2]),
    "nonce": st.integers(0, 5),
    "frozen": st.booleans(),
    "forged": mostly(False, rarely=[True]),
    "dismiss": mostly(False, False, True),
    "signer": mostly(0, rarely=range(1, 6)),
    "new_signer": mostly(0, 1, 2, 3, 4, 5, rarely=[6]),
    "dataset": _INDEX,
    "purpose": _INDEX,
    "application": _INDEX,
    "agreement": _INDEX,
    "order": _INDEX,
    "subject": _INDEX,
    "authorization": _INDEX,
    "basis": _INDEX,
    "seen": mostly(0, 0, 0, rarely=[-1, 1]),
}
_BY_ACT: Final[dict[tuple[type, str], st.SearchStrategy[Any]]] = {
    (acts_of_consumers.SignConfidentiality, "consumer"): _CALLER,
    (acts_of_people.Grant, "consumer"): _CALLER,
    (acts_of_people.Grant, "offset"): mostly(-3, -1, 0, 0, 0, 1, 2),
    (acts_of_parties.Appeal, "consumer"): mostly(-1, -2, rarely=range(9)),
    (acts_of_parties.Lift, "consumer"): mostly(-1, -2, rarely=range(9)),
    (acts_of_parties.Admit, "party"): mostly(*range(9), -1, -1, -1),
    (acts_of_parties.Activate, "party"): mostly(-1, rarely=range(9)),
    (acts_of_parties.RetractAdmission, "party"): mostly(-1, rarely=range(9)),
    (acts_of_parties.VetoAdmission, "party"): mostly(-1, rarely=range(9)),
    (acts_of_parties.MakeChange, "caller"): mostly(0, rarely=range(1, 9)),
    (acts_of_parties.NameRecorder, "party"): mostly(6, 6, 8, rarely=range(9)),
    (acts_of_parties.DismissRecorder, "party"): mostly(-1, 8, rarely=range(9)),
    (acts_of_consumers.AppointSupervisor, "party"): mostly(8, 7, rarely=range(9)),
    (acts_of_consumers.DismissSupervisor, "party"): mostly(-1, rarely=range(9)),
    (acts_of_consumers.Suspend, "party"): mostly(-1, rarely=range(9)),
    (acts_of_consumers.ReviewSuspension, "offset"): mostly(-1, 0, 5, HOUR),
    (acts_of_people.VoidAccess, "offset"): mostly(-1, 0, 0, rarely=[1]),
    (acts_of_people.VoidAccess, "uses"): st.integers(0, 1),
    (acts_of_parties.Publish, "item"): mostly(1, 2, rarely=[0]),
    (acts_of_parties.Erase, "item"): mostly(1, 2, rarely=[0]),
    (acts_of_parties.Restrict, "offset"): mostly(1, 2, 4, 9, rarely=[-1, 0]),
    (acts_of_consumers.Approve, "validity"): mostly(2, 4, 30, HOUR, HOUR, HOUR, rarely=[-1, 0]),
    (acts_of_people.AppointGuardian, "offset"): mostly(1, 3, 60, rarely=[-1, 0]),
    (acts_of_people.VetoRecovery, "new_signer"): mostly(0, rarely=range(1, 7)),
    (acts_of_people.Revoke, "subject"): mostly(0, rarely=range(1, 4)),
    (acts_of_people.Confirm, "subject"): mostly(0, rarely=range(1, 4)),
    (Ask, "consumer"): _CALLER,
    (Ask, "nonce"): st.integers(0, 1000),
    (Ask, "deadline"): mostly(0, 1, 100, 100, 100, rarely=[-1, -1, -1, 99]),
}


def drawn(act: type[Any]) -> st.SearchStrategy[Any]:
    values = {each.name: _BY_ACT.get((act, each.name), _BY_NAME[each.name]) for each in fields(act)}
    return st.builds(act, **values)


_BASES = st.sampled_from(["authorizations"] * 8 + ["agreements"] + ["orders"] * 2 + ["datasets"])
_ASKS = st.builds(
    Ask,
    kind=_BASES,
    **{
        each.name: _BY_ACT.get((Ask, each.name), _BY_NAME[each.name])
        for each in fields(Ask)
        if each.name != "kind"
    },
)
_RECORDS = st.builds(
    acts_of_consumers.Record,
    caller=_CALLER,
    asks=st.lists(_ASKS, min_size=1, max_size=6).map(tuple),
)
_WEIGHTS: Final[dict[type[Any], int]] = {
    acts_of_parties.Admit: 5,
    acts_of_parties.Withdraw: 1,
    acts_of_parties.SetKey: 1,
    acts_of_parties.Restrict: 2,
    acts_of_parties.Appeal: 1,
    acts_of_parties.Lift: 1,
    acts_of_parties.Announce: 1,
    acts_of_parties.Activate: 3,
    acts_of_parties.VetoAdmission: 1,
    acts_of_parties.RetractAdmission: 1,
    acts_of_parties.AnnounceChange: 2,
    acts_of_parties.MakeChange: 2,
    acts_of_parties.VetoChange: 1,
    acts_of_parties.RetractChange: 1,
    acts_of_parties.NameRecorder: 2,
    acts_of_parties.DismissRecorder: 1,
    acts_of_parties.CountersignOrder: 4,
    acts_of_consumers.AppointSupervisor: 2,
    acts_of_consumers.DismissSupervisor: 1,
    acts_of_consumers.Suspend: 2,
    acts_of_consumers.ReviewSuspension: 2,
    acts_of_people.Close: 1,
    acts_of_people.Open: 3,
    acts_of_people.EndLinks: 1,
    acts_of_people.VoidAccess: 3,
    acts_of_parties.RegisterDataset: 2,
    acts_of_parties.Reclassify: 2,
    acts_of_parties.WithdrawDataset: 1,
    acts_of_parties.Publish: 2,
    acts_of_parties.Erase: 1,
    acts_of_parties.IssueOrder: 4,
    acts_of_parties.EndOrder: 2,
    acts_of_parties.ReviewOrder: 3,
    acts_of_consumers.RegisterPurpose: 2,
    acts_of_consumers.BindFields: 2,
    acts_of_consumers.RetirePurpose: 1,
    acts_of_consumers.Apply: 3,
    acts_of_consumers.Approve: 4,
    acts_of_consumers.Decline: 1,
    acts_of_consumers.SignConfidentiality: 3,
    acts_of_consumers.WithdrawAgreement: 1,
    acts_of_people.RegisterSubject: 1,
    acts_of_people.SetFrozen: 4,
    acts_of_people.RotateSigner: 2,
    acts_of_people.AppointGuardian: 3,
    acts_of_people.StartRecovery: 2,
    acts_of_people.VetoRecovery: 2,
    acts_of_people.CompleteRecovery: 3,
    acts_of_people.Grant: 12,
    acts_of_people.Revoke: 3,
    acts_of_people.Confirm: 4,
}
ACTS: Final[tuple[type[Any], ...]] = (acts_of_consumers.Record, *_WEIGHTS)
"""Everything that a history may hold."""

_STRATEGIES: Final[dict[type[Any], Any]] = {
    acts_of_consumers.Record: _RECORDS,
    **{act: drawn(act) for act in _WEIGHTS},
}
_SHARES: Final[dict[type[Any], int]] = {acts_of_consumers.Record: 40, **_WEIGHTS}
_KINDS: Final = [act for act, weight in _SHARES.items() for _ in range(weight)]
# Not `one_of`: it would count equal strategies once.
_ANY_ACT = st.sampled_from(_KINDS).flatmap(lambda act: _STRATEGIES[act])

_ORDERS: Final = {
    "caller": st.just(0),
    "regulator": st.just(0),
    "dataset": st.just(1),
    "purpose": st.just(1),
    "sharing": st.sampled_from((Class.NOT_SHARED, Class.CONDITIONAL)),
    "fields": st.just(3),
    "offset": mostly(-1, 0, 0, 1, 2, 5),
    "validity": mostly(1, 2, 4, 30),
    "order": mostly(-1, -2, -3),
    "text": st.just(1),
}
_ORDER_ACTS: Final = (
    acts_of_parties.IssueOrder,
    acts_of_parties.CountersignOrder,
    acts_of_parties.EndOrder,
    acts_of_parties.ReviewOrder,
)
_AN_ORDERS_ACT: Final = st.sampled_from(_ORDER_ACTS).flatmap(
    lambda act: st.builds(act, **{each.name: _ORDERS[each.name] for each in fields(act)})
)


def histories(steps: int) -> st.SearchStrategy[list[Step]]:
    together = st.lists(_ANY_ACT, min_size=1, max_size=6).map(tuple)
    step = st.builds(Step, _BY_NAME["jump"], together)
    return st.lists(step, min_size=steps // 2, max_size=steps)


def histories_of_orders(steps: int) -> st.SearchStrategy[list[Step]]:
    """Draw histories of one dataset's orders, an act in each block: among all acts they meet too rarely to hold each other up."""
    step = st.builds(lambda jump, act: Step(jump, (act,)), mostly(1, 1, 2, 5), _AN_ORDERS_ACT)
    return st.lists(step, min_size=steps // 2, max_size=steps)


# Running them


class Stage:
    """A chain whose time is under control, set up so that every kind of act can succeed."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.outcomes: Counter[Outcome] = Counter()
        self.accepted: Counter[type[Act]] = Counter()
        self.refused: Counter[type[Act]] = Counter()
        self.consents = 0
        """Grants whose statement says what they authorize."""
        chain.node.stop_mining()
        self._ask("anvil_autoImpersonateAccount", True)
        world = World(chain, now=chain.now())
        self._decoder = EventDecoder(chain.contracts)
        newest = chain.rpc.send(eth_methods.block_number())
        addresses = msgspec.structs.astuple(chain.contracts)
        logs = chain.rpc.send(eth_methods.logs(0, newest, addresses))
        for event in self._decoder.decode_all(logs):
            follow(world.state, event)
        self.run(world, BEGINNING)
        self._beginning = world
        self._snapshot = self._ask("evm_snapshot")

    def start(self) -> World:
        """Bring the chain back to the beginning; return the world as it is then."""
        if self._ask("evm_revert", self._snapshot) is not True:
            raise AssertionError("the chain did not go back")
        self._snapshot = self._ask("evm_snapshot")
        world = self._beginning
        again = World(world.chain)
        for each in fields(world)[1:]:
            setattr(again, each.name, copy.deepcopy(getattr(world, each.name)))
        return again

    def run(self, world: World, history: Sequence[Step]) -> None:
        """Run blocks, comparing each transaction's fate and events."""
        for step in history:
            world.now += step.jump
            attempts = [(act, act.attempt(world, world.now)) for act in step.acts]
            for receipt, (act, attempt) in self._mine(world.now, attempts):
                self._compare(world, receipt, act, attempt)

    def _mine(
        self, now: int, attempts: list[tuple[Act, Attempt]]
    ) -> list[tuple[Receipt, tuple[Act, Attempt]]]:
        """Put attempts into one block; return them in its order."""
        self._ask("evm_setNextBlockTimestamp", now)
        senders = sorted({attempt.caller for _, attempt in attempts})
        counts = self.chain.rpc.send_many([eth_methods.transaction_count(each) for each in senders])
        nonces = dict(zip(senders, counts, strict=True))
        calls = []
        for _, attempt in attempts:
            calls.append(self._transaction(attempt, nonces[attempt.caller]))
            nonces[attempt.caller] += 1
        hashes = self.chain.rpc.send_many(calls)
        self._ask("evm_mine")
        by_hash = dict(zip(hashes, attempts, strict=True))
        number = self.chain.rpc.send(eth_methods.block_number())
        receipts = self.chain.rpc.send(eth_methods.block_receipts(number)) or ()
        if len(receipts) != len(attempts):
            raise AssertionError(f"{len(receipts)} of {len(attempts)} transactions were mined")
        return [(receipt, by_hash[to_hex(receipt.transaction_hash)]) for receipt in receipts]

    def _transaction(self, attempt: Attempt, nonce: int) -> Call[Any]:
        return _rpc(
            "eth_sendTransaction",
            {
                "from": to_hex(attempt.caller),
                "to": to_hex(self.chain.deployment.address_of(attempt.call.contract)),
                "data": to_hex(attempt.call.data),
                "gas": hex(GAS),
                "gasPrice": "0x0",
                "nonce": hex(nonce),
            },
        )

    def _compare(self, world: World, receipt: Receipt, act: Act, attempt: Attempt) -> None:
        block = Block(receipt.block_number, receipt.block_hash, world.now)
        expected = (
            None if attempt.hidden(world.state, world.now) else _applied(world, attempt, block)
        )
        if receipt.succeeded != (expected is not None):
            raise AssertionError(
                f"{act}: the contracts {'accept' if receipt.succeeded else 'refuse'} it at "
                f"{world.now}, the rules do not"
            )
        (self.refused if expected is None else self.accepted)[type(act)] += 1
        if expected is None:
            return
        events = self._decoder.decode_all(receipt.logs)
        emitted = [_unplaced(event) for event in events]
        if emitted != expected:
            raise AssertionError(f"{act}: emitted {emitted}, expected {expected}")
        for event in events:
            if isinstance(event, NumberedEvent):
                chain_on(world.state, event)
            if isinstance(event, Granted):
                self._check_consent(world, event)
        world.used.add(attempt.digest)
        self.outcomes.update(each.outcome for each in expected if isinstance(each, Accessed))

    def _check_consent(self, world: World, event: Granted) -> None:
        """Check that everybody finds the statement to be right whom the chain tells of the grant."""
        record = world.granted[event.authorization]
        names = names_at_grant(world.state, world.state.authorizations[event.authorization])
        if names.consumer in record.statement:  # else it was renamed in the grant's own block
            verify_consent(record, event.authorization, names)
            self.consents += 1

    def _ask(self, method: str, *params: object) -> Any:
        return self.chain.rpc.send(_rpc(method, *params))


def _applied(world: World, attempt: Attempt, block: Block) -> list[Event] | None:
    """Apply what the contracts would emit; None when the rules refuse it."""
    done: list[Event] = []
    try:
        for event in attempt.events(world.state, block):
            apply(world.state, event)
            done.append(event)
    except ImpossibleEventError:
        if done:
            raise
        return None
    return done


def _unplaced(event: Event) -> Event:
    link = {"link": b""} if isinstance(event, NumberedEvent) else {}
    return msgspec.structs.replace(event, transaction=TRANSACTION, log_index=0, **link)


def _rpc(method: str, *params: object) -> Call[Any]:
    return Call(method, params, msgspec.json.decode)


# Where every history starts: agreements of both consumers, on data of each kind, and people.

_PERSONAL, _PLAIN, _OPEN = 1, 2, 3
_APPLIED = [
    acts_of_consumers.Apply(consumer=3, dataset=_PERSONAL, purpose=1, fields=7, nonce=0, text=1),
    acts_of_consumers.Apply(consumer=3, dataset=_PLAIN, purpose=1, fields=7, nonce=0, text=1),
    acts_of_consumers.Apply(consumer=4, dataset=_PERSONAL, purpose=1, fields=3, nonce=0, text=1),
    acts_of_consumers.Apply(consumer=4, dataset=_PERSONAL, purpose=2, fields=3, nonce=0, text=1),
]
_GRANT = acts_of_people.Grant(
    subject=1,
    agreement=1,
    consumer=0,
    fields=7,
    item=0,
    offset=0,
    validity=HOUR,
    uses=2,
    interval=0,
    signer=0,
    deadline=100,
    nonce=0,
    forged=False,
)
BEGINNING: Final = [
    Step(
        1,
        (
            acts_of_parties.RegisterDataset(1, 1, True, Class.CONDITIONAL, 2, 3),
            acts_of_parties.RegisterDataset(1, 2, False, Class.CONDITIONAL, 2, 3),
            acts_of_parties.RegisterDataset(2, 3, False, Class.UNCONDITIONAL, 1, 3),
            acts_of_consumers.RegisterPurpose(0, 1, HOUR, 5, 0),
            acts_of_consumers.RegisterPurpose(0, 2, 30, 2, 3),
        ),
    ),
    Step(
        1,
        (
            acts_of_consumers.BindFields(0, 1, _PERSONAL, 7),
            acts_of_consumers.BindFields(0, 1, _PLAIN, 7),
            acts_of_consumers.BindFields(0, 2, _PERSONAL, 3),
            acts_of_parties.Publish(0, _PERSONAL, 1, 0),
            acts_of_people.RegisterSubject(0, 1, 0),
            acts_of_people.RegisterSubject(0, 2, 1),
        ),
    ),
    Step(1, tuple(_APPLIED)),
    Step(
        1,
        tuple(
            acts_of_consumers.SignConfidentiality(0, application, 100, 1, False)
            for application in (1, 2, 3, 4)
        ),
    ),
    Step(
        1,
        tuple(
            acts_of_consumers.Approve(0, number, each.fields, HOUR)
            for number, each in enumerate(_APPLIED, 1)
        ),
    ),
    Step(
        1,
        (
            _GRANT,
            replace(_GRANT, subject=2, signer=0, item=1, nonce=1),
            replace(_GRANT, agreement=3, fields=3, interval=3, uses=5, nonce=1),
            replace(_GRANT, subject=2, agreement=4, fields=1, validity=30, interval=3),
        ),
    ),
]

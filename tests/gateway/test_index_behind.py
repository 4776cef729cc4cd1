"""While the index is made again, nobody is told for good that something is not there: it is a 503, to be repeated.

`make faults` found it: after the node had lost blocks, consumers were told 401 that they were never admitted, and people
that the grant which they repeated was refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.access.read_after_write import Freshness
from gateway.consent.relays import Relayed, Relays
from gateway.errors import RefusedError
from gateway.store.database import Database, migrate
from ledger.chain.contract_calls import ContractCall
from ledger.chain.events import Block, PartyAdmitted, SubjectRegistered
from ledger.chain.finality import Finality
from ledger.chain.reverts import Revert, RevertError
from ledger.chain.rpc import RpcError
from ledger.chain.transactions import SignedTransaction
from ledger.index.index import Index, Origin
from ledger.model import Roles
from tests.support.problems import refused_as

BANK, NOBODY, AUTHORITY = b"\x0b" * 20, b"\x0c" * 20, b"\x0d" * 20
PERSON, STRANGER = b"\x01" * 32, b"\x02" * 32
ORIGIN = Origin(bytes(32), bytes(20), 0)


PLACE = (Block(1, bytes(32), 1), bytes(32), 0, bytes(20), 1, b"")


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    database = Database(f"sqlite:///{tmp_path}/gateway.db")
    await migrate(database)
    index = Index(database, ORIGIN)
    await index.open()
    yield index
    await database.close()


async def test_who_is_not_there_yet_is_not_told_that_there_is_no_such_party(index: Index) -> None:
    admitted = PartyAdmitted(*PLACE, BANK, int(Roles.CONSUMER), "Bank")
    await index.apply([admitted], 100, bytes(32), 100)
    newest = 100
    trail = Freshness(index, cast("Any", Away()), Finality.depth(0), lambda: newest)
    assert trail.is_party(BANK)
    assert not trail.is_party(NOBODY)
    await index.clear()
    with refused_as("index-behind"):
        trail.is_party(BANK)
    await index.apply([admitted], 95, bytes(32), 95)
    assert trail.is_party(BANK)
    assert not trail.is_party(NOBODY)


async def test_who_is_not_there_yet_is_not_told_that_nobody_may_sign_the_link(index: Index) -> None:
    admitted = PartyAdmitted(*PLACE, AUTHORITY, int(Roles.IDENTITY_AUTHORITY), "Civil affairs")
    second = (Block(1, bytes(32), 1), bytes(32), 1, bytes(20), 2, b"")
    registered = SubjectRegistered(*second, PERSON, 1, AUTHORITY, b"k" * 20)
    await index.apply([admitted, registered], 100, bytes(32), 100)
    newest = 100
    trail = Freshness(index, cast("Any", Away()), Finality.depth(0), lambda: newest)
    assert set((await trail.link_bounds(PERSON)).authorities) == {AUTHORITY}
    with refused_as("index-behind"):
        await trail.link_bounds(STRANGER)
    await index.clear()
    for subject in (PERSON, STRANGER):
        with refused_as("index-behind"):
            await trail.link_bounds(subject)
    await index.apply([admitted, registered], 95, bytes(32), 95)
    assert set((await trail.link_bounds(PERSON)).authorities) == {AUTHORITY}


class Away:
    """A node that does not answer."""

    async def send(self, _: object) -> object:
        raise RpcError("away")


class Refusing:
    """`Relay` of a chain that has the authorization already."""

    async def relay(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        raise RevertError(Revert("AlreadyGranted", (), b""))

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        raise NotImplementedError


async def test_a_grant_that_is_on_chain_and_not_in_the_index_yet_is_not_refused() -> None:
    nothing = cast("Any", None)
    relays = Relays(
        deployment=nothing,
        relay=Refusing(),
        linking=nothing,
        statements=nothing,
        rpc=nothing,
        index=nothing,
        limits=nothing,
        authorizations=nothing,
        inbox=nothing,
    )
    done = Relayed(bytes(32), 7, bytes(32))

    async def unknown(authorization: bytes) -> Relayed | None:
        return None

    async def known(authorization: bytes) -> Relayed | None:
        return done

    call = ContractCall("Authorizations", b"")
    with refused_as("index-behind"):
        await relays._once(call, "AlreadyGranted", unknown, BANK, nothing)
    assert await relays._once(call, "AlreadyGranted", known, BANK, nothing) == done
    with pytest.raises(RefusedError):
        await relays._once(call, "AlreadyRevoked", known, BANK, nothing)

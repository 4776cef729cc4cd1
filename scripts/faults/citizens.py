"""A citizen: grants, revokes, freezes and ends the freeze, one after the other; repeats what was not answered."""

import asyncio
import random
import secrets
import time
from typing import Final

import httpx
import msgspec

from ledger.chain.contract_calls import Approval
from ledger.crypto.signatures import sign
from ledger.hexstr import from_hex
from ledger.typed_data import (
    Authorization,
    Freeze,
    Revocation,
    SignedRecord,
    digest,
    struct_hash,
)
from scripts.faults.desk import Desk, Grant, is_lasting, kind_of
from scripts.faults.told import ToldAct
from scripts.scenario import ALL_FIELDS, DAY, Party, Person, names_of
from scripts.statements import stated, unstated
from wallet.client.calls import HttpCall
from wallet.client.relays import relay_act, relay_authorization
from wallet.client.transactions import Mined

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.6
_FEWEST: Final = 2
"""Authorizations that a citizen likes to have standing."""
_USES: Final = (3, 10, 1000, 1000)
_REPEATABLE: Final = ("grant", "revocation")
"""Acts that are idempotent; a freeze has a nonce that is used up."""


class _Done(msgspec.Struct):
    transaction: str


class _CitizenPlayer:
    def __init__(self, desk: Desk, citizen: Person, source: random.Random) -> None:
        self._desk = desk
        self._citizen = citizen
        self._random = source
        self._standing: list[Grant] = []

    async def play(self) -> None:
        """Act until the play is over."""
        while not self._desk.is_over:
            drawn = self._random.random()
            if len(self._standing) < _FEWEST or drawn < 0.3:
                await self._grant()
            elif drawn < 0.8:
                await self._revoke()
            else:
                await self._freeze()
            await asyncio.sleep(self._random.uniform(0.2, 1.6))

    async def _grant(self) -> None:
        consumer = self._random.choice(self._desk.plan.consumers)
        plan = self._desk.plan
        record = new_authorization(
            *(plan.dataset, plan.purpose, self._citizen, consumer, self._random.choice(_USES))
        )
        about = struct_hash(record)
        call = relay_authorization(record, self._approve(record), self._citizen.link, None)
        if await self._act("grant", about, call):
            grant = Grant(about, record.consumer)
            self._standing.append(grant)
            self._desk.grants.setdefault(record.consumer, []).append(grant)

    async def _revoke(self) -> None:
        grant = self._standing.pop(self._random.randrange(len(self._standing)))
        until = int(time.time()) + DAY
        record = Revocation(self._citizen.subject.id, grant.authorization, until)
        call = relay_act(record, self._approve(record))
        grant.revoked = await self._act("revocation", grant.authorization, call)

    async def _freeze(self) -> None:
        for frozen, kind in ((True, "freeze"), (False, "end of a freeze")):
            until = int(time.time()) + DAY
            record = Freeze(self._citizen.subject.id, frozen, secrets.token_bytes(32), until)
            call = relay_act(record, self._approve(record))
            await self._act(kind, self._citizen.subject.id, call)
            await asyncio.sleep(self._random.uniform(0.1, 0.5))

    async def _act(self, kind: str, about: bytes, call: HttpCall[Mined]) -> bool:
        """Repeat an act until it is done; return whether it was acknowledged."""
        began, pause, attempts = time.monotonic(), _FIRST_PAUSE, 0
        while not self._desk.is_hopeless:
            attempts += 1
            response = await self._desk.post(call.path, call.body)
            if response is not None and response.status_code == httpx.codes.OK:
                done = msgspec.json.decode(response.content, type=_Done)
                transaction = from_hex(done.transaction)
                act = ToldAct(kind, about, transaction, began, time.monotonic())
                self._desk.acts.append(act)
                return True
            if response is not None:
                failure = f"{kind}: {kind_of(response)}"
                self._desk.note_failure(failure)
                if is_lasting(response.status_code):
                    if kind in _REPEATABLE:
                        self._desk.misled.append(failure)
                    elif attempts > 1:
                        # Carried out by an attempt that had no answer: its nonce is used.
                        return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._desk.unanswered += 1
        return False

    def _approve(self, record: SignedRecord) -> Approval:
        subject = self._citizen.subject
        signed = digest(record, self._desk.deployment.domain_of(record))
        return Approval(subject.signer, sign(signed, subject.private_key))


def new_authorization(
    dataset: bytes, purpose: bytes, citizen: Person, consumer: Party, max_uses: int
) -> Authorization:
    """Return what a citizen signs; it holds also where a clock is hours off."""
    record = unstated(
        *(citizen.subject.id, consumer.address, dataset, purpose),
        now=int(time.time()),
        fields=ALL_FIELDS,
        max_uses=max_uses,
        earlier=DAY,
        lifetime=DAY,
    )
    return stated(record, names_of(consumer.name))


async def play_citizen(desk: Desk, citizen: Person, source: random.Random) -> None:
    """Play a citizen until the play is over."""
    await _CitizenPlayer(desk, citizen, source).play()

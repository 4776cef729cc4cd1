"""From an access on chain to what it opens: find the records, ask the keyholders, journal, hand out.

Works on groups of accesses: one read of the database, one question to each keyholder and one write
of the journal for all of them. If we crash before the journal is written nothing was handed out, and
a retry does the same again: key parts can be released as often as the same access is answered.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.access.batching import Grouper
from gateway.access.content import Bases, ReleaseContent, ReleaseContents, Wanted
from gateway.access.keyholders import Answer, Keyholders, PartsTask
from gateway.errors import GatewayError, ProblemError, UnavailableError
from gateway.store.releases import JournalEntry, Released, ReleaseJournal
from ledger import failpoints
from ledger.api import HeldKeys, KeyedSubmission, Location, RecordedAccess
from ledger.api.access import encode_release
from ledger.api.keyholder import encode_task
from ledger.index.rows import BasisEntry

MAX_AT_ONCE: Final = 200
_GROUPS: Final = 2
"""Groups under way: more would be smaller, and each costs four transactions and two questions."""


class ReleaseOrder(msgspec.Struct, frozen=True):
    """An allowed access to be answered."""

    submission: KeyedSubmission
    recorded: RecordedAccess
    earlier: Released | None = None
    """Handed out for it before; None for the first time."""


class _Prepared(msgspec.Struct):
    order: ReleaseOrder
    basis: BasisEntry
    material: ReleaseContent
    keys: tuple[HeldKeys, ...] = ()


Encoded = bytes
"""A release as JSON (`ledger.api.encode_release`)."""


class Releaser:
    """Answers allowed accesses. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        bases: Bases,
        materials: ReleaseContents,
        keyholders: Keyholders,
        journal: ReleaseJournal,
        *,
        release_window: int,
        newest_time: Callable[[], int],
        clock: Callable[[], float] = time.time,
        problem: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`release_window` in seconds of block times; `problem` says why the chain cannot be relied on, None if it can."""
        self._bases = bases
        self._problem = problem
        self._materials = materials
        self._keyholders = keyholders
        self._journal = journal
        self._release_window = release_window
        self._newest_time = newest_time
        self._clock = clock
        self._group: Grouper[ReleaseOrder, Encoded] = Grouper(
            self._release_all,
            most=MAX_AT_ONCE,
            at_once=_GROUPS,
            owner=lambda order: order.submission.request.consumer,
        )

    async def release(self, order: ReleaseOrder) -> Encoded:
        """Answer an access: ciphertexts, proof and sealed parts, as JSON.

        It is in the journal, durably, when this returns.

        Raises:
            UnavailableError: Too few keyholders released.
            ProblemError: The release window is over.
            ForbiddenError: An act on chain stands against the release.
            UnknownError, ProblemError, ConflictError, ProblemError: There is no answer.
            UnavailableError: Something else is not there now.
        """
        self.require()
        age = self._newest_time() - order.recorded.timestamp
        if age > self._release_window:  # no keyholder would: none is asked
            raise ProblemError(
                f"recorded {age} s ago; accesses are released for {self._release_window} s",
                "release-over",
            )
        return await self._group(order)

    def require(self) -> None:
        """Check that what is known of the chain can be relied on.

        Raises:
            UnavailableError: There is something on it that cannot be.
        """
        problem = self._problem()
        if problem is not None:
            raise UnavailableError(problem, "chain-unavailable")

    async def close(self) -> None:
        await self._group.close()

    async def _release_all(self, orders: Sequence[ReleaseOrder]) -> list[Encoded | Exception]:
        # The chain has allowed it, so there is a basis: an index without it is of before.
        behind = UnavailableError(
            "the index does not have the basis of this access yet", "index-behind"
        )
        results: list[Encoded | Exception] = [behind] * len(orders)
        prepared = await self._prepare(orders, results)
        await self._ask(prepared, results)
        failpoints.reach("after_release")
        now = int(self._clock())
        if prepared:
            await self._journal.write([_entry(one, now) for one in prepared.values()])
        for place, one in prepared.items():
            results[place] = _encode(one)
        return results

    async def _prepare(
        self, orders: Sequence[ReleaseOrder], results: list[Encoded | Exception]
    ) -> dict[int, _Prepared]:
        bases = await self._bases.find_in_block(
            [one.submission.request.basis for one in orders],
            max(one.recorded.block_number for one in orders),
        )
        known = {
            place: (order, basis)
            for place, order in enumerate(orders)
            if (basis := bases.get(order.submission.request.basis)) is not None
        }
        materials = await self._materials.find(
            [_wanted(order, basis) for order, basis in known.values()]
        )
        prepared: dict[int, _Prepared] = {}
        for (place, (order, basis)), material in zip(known.items(), materials, strict=True):
            if isinstance(material, GatewayError):
                results[place] = material
            else:
                prepared[place] = _Prepared(order, basis, material)
        return prepared

    async def _ask(
        self, prepared: dict[int, _Prepared], results: list[Encoded | Exception]
    ) -> None:
        """Fill in the keys; take out what the keyholders did not release."""
        # Also where there is no record: that there is none is what the access was for, and keyholders
        # judge whether it may still be told.
        asked = list(prepared)
        if not asked:
            return
        answers: list[Answer] = await self._keyholders.ask(
            [_task(prepared[place]) for place in asked]
        )
        for place, answer in zip(asked, answers, strict=True):
            if isinstance(answer, tuple):
                prepared[place].keys = answer
            else:
                results[place] = answer
                del prepared[place]


def _wanted(order: ReleaseOrder, basis: BasisEntry) -> Wanted:
    request, recorded = order.submission.request, order.recorded
    version = None if order.earlier is None else order.earlier.publication
    return Wanted(basis, request.item, recorded.block_number, version)


def _task(one: _Prepared) -> PartsTask:
    recorded, material = one.order.recorded, one.material
    encoded = encode_task(
        one.order.submission,
        Location(recorded.block_number, recorded.transaction, recorded.log_index),
        dataset=one.basis.dataset,
        publication=material.publication.version,
        records=material.bare(),
        proof=material.encoded_proof(),
        link=material.link,
    )
    earlier = one.order.earlier
    return PartsTask(
        encoded,
        frozenset([record.epoch for record in material.records]),
        () if earlier is None else earlier.holders,
        None if one.basis.subject is None else one.basis.id,
        records=len(material.records),
        fields=one.order.submission.request.fields.bit_count(),
    )


def _entry(one: _Prepared, now: int) -> JournalEntry:
    material = one.material
    released = Released(
        dataset=one.basis.dataset,
        publication=material.publication.version,
        records=tuple([record.number for record in material.records]),
        holders=_holders(one),
        key=one.order.submission.key,
        released_at=now,
    )
    return JournalEntry(one.order.submission, one.order.recorded, released)


def _holders(one: _Prepared) -> tuple[bytes, ...]:
    """Return whose parts were handed out now and before, those of longest ago first."""
    now = [held.holder for held in one.keys]
    before = () if one.order.earlier is None else one.order.earlier.holders
    return (*(holder for holder in before if holder not in now), *now)


def _encode(one: _Prepared) -> Encoded:
    material = one.material
    return encode_release(
        one.basis.dataset,
        material.publication.version,
        material.publication.head,
        records=material.excerpts(one.order.submission.request.fields),
        proof=material.encoded_proof(),
        keys=one.keys,
    )

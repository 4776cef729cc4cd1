"""Record, then release: the recorder (DESIGN 3.6).

    recorder = Recorder(rpc, deployment, private_key, Path("journal"))
    await recorder.start()
    recorded = await recorder.record(Submission(request, signature))

Accesses of concurrent callers share a transaction; a caller waits for its own outcome in a final block.
Whatever is killed, and whenever: an access whose outcome a caller got is on chain exactly once, and the
same request again gives the same outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from ledger.api import RecordedAccess, Submission
from ledger.chain import contract_reads, eth_methods
from ledger.chain.contract_calls import ContractCall
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment
from ledger.chain.finality import BlockRef, BlocksLostError, ChainError
from ledger.chain.follow import Follower, final_block, verify_descends
from ledger.chain.reverts import revert_in
from ledger.chain.rpc import AsyncRpc, CallError, RpcError
from ledger.chain.transactions import GAS_CAP, SignedTransaction
from ledger.crypto.signatures import address_of
from ledger.errors import LedgerError
from ledger.journal import Journal, JournalError
from ledger.recorder.batch import Unclaimed
from ledger.recorder.dispatcher import Dispatcher
from ledger.recorder.journal import Identity, JournalState, restore, split_accesses
from ledger.recorder.outbox import Draft, Outbox
from ledger.recorder.recovery import Lookup, Reconciler, catch_up
from ledger.recorder.settings import (
    Reconciliation,
    RecorderError,
    RecorderSettings,
    RecorderState,
    RecorderStatus,
    TransactionRejectedError,
    replaced,
    unavailable,
)
from ledger.recorder.settle import Relayed, flight_of, remembered
from ledger.service.logs import describe, get_logger

_RETRY: Final = 0.25
_SWEEP: Final = 0.05
_MARGIN: Final = 1.3

RELAY_GAS: Final = 1_000_000
"""For what people sign and the recorder sends: the dearest honest act, to a signer of 512 bytes, needs some 700,000."""

_log = get_logger()


class Recorder:
    """Records accesses and relays transactions. Belongs to one event loop.

    One account, one sequence of nonces, one journal: a second recorder with the same account is
    refused by the lock on the journal, or found out by its nonces.
    """

    def __init__(
        self,
        rpc: AsyncRpc,
        deployment: Deployment,
        private_key: bytes,
        journal: Path,
        settings: RecorderSettings | None = None,
        *,
        lookup: Lookup | None = None,
        unclaimed: Unclaimed | None = None,
    ) -> None:
        """Take the parts; `start` begins.

        Args:
            rpc: the node.
            deployment: from a source that is trusted.
            private_key: of the account that is admitted as a recorder.
            journal: directory of the journal.
            settings: the defaults, if none.
            lookup: finds accesses recorded long ago (the index); without it the chain is searched.
            unclaimed: called with accesses that were recorded when nobody waited any more, such as
                those that a crash interrupted: their signatures must not be lost.
        """
        self.settings = settings or RecorderSettings()
        self.last_reconciliation: Reconciliation | None = None
        self._rpc = rpc
        self._deployment = deployment
        self._directory = journal
        account = address_of(private_key)
        self._identity = Identity(
            deployment.chain_id, deployment.genesis_hash, deployment.contracts.access_log, account
        )
        self._outbox = Outbox(rpc, private_key, self._identity, self.settings)
        self._dispatcher = Dispatcher(
            rpc, deployment, self.settings, self._outbox, lookup=lookup, unclaimed=unclaimed
        )
        self._state = RecorderState.STARTING
        self._trouble: LedgerError | None = None
        self._resume = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_fresh = True
        self._arriving: dict[tuple[bytes, int], Draft] = {}
        """Parties' own transactions that are being examined, by sender and nonce."""
        self.follower = Follower(rpc, self.settings.finality, genesis_hash=deployment.genesis_hash)
        """Follows the final blocks; others may wait for them too (`Follower.after`)."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the journal, take up its open transactions, and begin to work.

        Returns before the node was reached; see `status`.

        Raises:
            RecorderError: the journal belongs to another chain, deployment or account.
            JournalError: another process has it, or it cannot be read.
        """
        if self.settings.journaled:
            self._take_up(await asyncio.to_thread(self._open_journal))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(self._sweep())]

    async def close(self, drain: float = 10.0) -> None:
        """Take nothing new, wait `drain` seconds at most until all on its way is final, and end.

        Transactions that are not final then are in the journal, and the next process sends them again.
        """
        if self._state is RecorderState.CLOSED:
            return
        was_running = self._state is RecorderState.RUNNING
        self._state = RecorderState.CLOSED
        with suppress(TimeoutError):
            async with asyncio.timeout(drain if was_running else 0):
                while not self._dispatcher.is_idle:  # noqa: ASYNC110 - once
                    await asyncio.sleep(_SWEEP)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._dispatcher.pending.close("the recorder is closed")
        with suppress(JournalError):
            await self._outbox.flush()
        await self._outbox.close()

    @property
    def account(self) -> bytes:
        """Address of the recorder's account."""
        return self._outbox.account

    @property
    def status(self) -> RecorderStatus:
        """For `/readyz` and metrics."""
        last, mark = self.follower.last, self._outbox.mark
        return RecorderStatus(
            state=self._state,
            problem=self._problem,
            queued=self._dispatcher.queued,
            in_flight=len(self._outbox.flights),
            block_number=last.number if last is not None else None,
            sequence=mark.sequence if mark is not None else 0,
            reconciliation=self.last_reconciliation,
        )

    # Accesses

    async def record(self, submission: Submission, access: bytes | None = None) -> RecordedAccess:
        """Record an access, once, and return it when its block is final.

        A caller that is cancelled does not stop it. The same request again, while it is on its way
        or later, gives the same access.

        The signature is journaled with the request; that it holds is for the caller to have checked.
        `access` is the request's struct hash, when it is known already.

        Raises:
            RecorderBusyError: too many accesses wait; it was not recorded.
            InvalidRequestError: no contract could take it.
            RecorderNotNamedError: the consumer has not named this recorder.
            RecorderError: it was not recorded, or not in time; `ambiguous` tells whether it may still be.
        """
        return await self.submit(submission, access)

    def submit(
        self, submission: Submission, access: bytes | None = None
    ) -> asyncio.Future[RecordedAccess]:
        """Do as `record`, for many requests of one caller: each future has to be awaited."""
        return self._dispatcher.pending.submit(submission, access, self._closed())

    # Transactions

    async def relay(
        self, call: ContractCall, accepted: Callable[[], Awaitable[None]] | None = None
    ) -> Relayed:
        """Send a call from the recorder's account, and return it when its block is final.

        It is tried first, so that what the contract refuses costs nothing, and never given more gas
        than `RELAY_GAS`: a signer's verifier may burn what it gets.

        `accepted` is awaited once when the contract would take the call, before it is sent; an error that it
        raises keeps the call from being sent.

        Raises:
            RevertError: the contract refuses it.
            TransactionRejectedError: it needs more gas than is given.
            RecorderError: nothing can be sent now, and nothing was; or, if `ambiguous`, it is on its way
                and not final in time. Sent again, it may be refused because it was carried out after all.
            RpcError: the node cannot be asked; nothing was sent.
        """
        self._check_running()
        to = self._deployment.address_of(call.contract)
        joined = self._joined(to, call.data)
        if joined is None:
            gas = await self._try_out(to, call.data, self.account, RELAY_GAS)
            if accepted is not None:
                await accepted()
            # Somebody else may have sent the same one meanwhile.
            joined = self._joined(to, call.data)
        if joined is None:
            draft = Draft(to, call.data, min(int(gas * _MARGIN), RELAY_GAS))
            joined = draft.waiters
            self._dispatcher.queue_call(draft)
        return await self._wait(joined)

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        """Send a transaction that a party signed itself, and return it when its block is final.

        It is journaled like our own, so that it survives a node that forgets it. That it goes to one
        of our contracts is for the caller to have checked.

        Raises:
            RevertError: the contract refuses it.
            TransactionRejectedError: the node does not take it, it does not follow the party's last one,
                or another one of the same nonce was carried out.
            RecorderError, RpcError: as for `relay`.
        """
        self._check_running()
        content = transaction.content
        if content.chain_id != self._deployment.chain_id:
            raise TransactionRejectedError(f"the transaction is for chain {content.chain_id}")
        flight = self._outbox.flights.find(transaction.sender, content.nonce)
        if flight is not None:
            if transaction.hash not in (sent.hash for sent in flight.attempts):
                raise replaced(transaction.hash)
            return await self._wait(flight.waiters)
        draft = Draft(content.to or b"", content.data, signed=transaction)
        key = (transaction.sender, content.nonce)
        if self._arriving.setdefault(key, draft) is not draft:
            raise replaced(transaction.hash)
        try:
            await self._examine(transaction)
            self._dispatcher.queue_call(draft)
        finally:
            del self._arriving[key]
        return await self._wait(draft.waiters)

    # Chains that lost blocks

    async def reconcile(self) -> Reconciliation:
        """Send again what the chain has lost, from the journal, and begin to work again.

        Raises:
            ChainError, DeploymentError: the chain is another one; nothing can mend that.
            RecorderError: the recorder is not halted, or our own transactions cannot be brought back.
            JournalError, RpcError: the journal or the node does not work.
        """
        if self._state is not RecorderState.HALTED:
            raise unavailable(f"there is nothing to reconcile while {self._state}")
        return await self._reconcile()

    # Inside

    @property
    def _problem(self) -> LedgerError | None:
        if self._trouble is not None:
            return self._trouble
        if not self._dispatcher.admitted and self._state is RecorderState.RUNNING:
            return RecorderError("the registry does not know our account as a recorder")
        return self.follower.problem or self._dispatcher.problem

    def _open_journal(self) -> JournalState:
        journal = Journal.open(self._directory)
        try:
            restored = restore(journal, self._identity)
        except BaseException:
            journal.close()
            raise
        self._is_fresh = restored.identity is None
        self._outbox.journal = journal
        return restored

    def _take_up(self, state: JournalState) -> None:
        self._outbox.next_nonce, self._outbox.mark = state.next_nonce, state.mark
        for journaled in state.open_transactions():
            flight = flight_of(journaled)
            self._outbox.flights.add(flight)
            self._dispatcher.pending.restore(flight.entries)
        for journaled in state.transactions.values():
            if journaled.settled is not None and journaled.settled.outcomes:
                accesses = split_accesses(journaled.carried_out)
                self._dispatcher.pending.remember(remembered(journaled.settled, accesses))

    async def _run(self) -> None:
        while True:
            try:
                await self._connect()
                self._trouble = None
                self._enter(RecorderState.RUNNING)
                await self._work()
            except RpcError as error:
                self._trouble = error
                await asyncio.sleep(_RETRY)
            except LedgerError as error:
                await self._halt(error)
            except Exception as error:  # noqa: BLE001 - of any kind: it must stop and say so
                _log.error("recorder failed", error=describe(error))
                await self._halt(RecorderError(f"unexpected: {type(error).__name__}"))

    def _enter(self, state: RecorderState) -> None:
        if self._state is not RecorderState.CLOSED:
            self._state = state

    async def _connect(self) -> None:
        """Make sure that the node has the chain that we know, as far as we know it."""
        outbox, mark = self._outbox, self._outbox.mark
        await verify_deployment(self._rpc, self._deployment)
        if self.settings.sets_clock:
            await catch_up(self._rpc, self.settings.finality)
        await self._verify_mark()
        if self._is_fresh:
            tags = ("latest", "pending")
            counts = [eth_methods.transaction_count(outbox.account, tag) for tag in tags]
            outbox.next_nonce = max(await self._rpc.send_many(counts))
            await outbox.open_segment()
            self._is_fresh = False
        else:
            await self._verify_nonce()
        await self._dispatcher.begin()
        self.follower.restart(
            None if mark is None else BlockRef(mark.block_number, mark.block_hash)
        )

    async def _verify_mark(self) -> None:
        """Return if the chain has all that was final when the mark was made."""
        newest = await final_block(self._rpc, self.settings.finality)
        if newest is None:
            raise RpcError("the node has no final block yet", "unreachable")
        mark = self._outbox.mark
        if mark is None:
            return
        await verify_descends(self._rpc, BlockRef(mark.block_number, mark.block_hash), newest)
        log = await self._rpc.send(contract_reads.log_state(self._deployment.contracts))
        if log.sequence < mark.sequence:
            problem = f"{mark.sequence} accesses were recorded, the chain has {log.sequence}"
            raise BlocksLostError(problem)

    async def _verify_nonce(self) -> None:
        """Return if the account's transactions on chain are those of the journal."""
        outbox = self._outbox
        mined = await self._rpc.send(eth_methods.transaction_count(outbox.account))
        if mined > outbox.next_nonce:
            ours = outbox.next_nonce
            raise RecorderError(f"the account sent {mined} transactions, {ours} of them are ours")
        on_their_way = outbox.of_account()
        oldest = on_their_way[0].nonce if on_their_way else outbox.next_nonce
        if mined < oldest:
            problem = f"{oldest} transactions were final, the chain has {mined}"
            raise BlocksLostError(problem)

    async def _work(self) -> None:
        """Follow, send and settle until one of them cannot go on; raise its reason."""
        loop = asyncio.get_running_loop()
        works = [
            loop.create_task(work)
            for work in (
                self.follower.run(),
                self._dispatcher.settle_all(self.follower),
                self._dispatcher.send_all(self.follower),
            )
        ]
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        for task in done:
            await task
        if isinstance(self.follower.problem, ChainError):
            raise self.follower.problem
        raise RecorderError("the recorder stopped by itself")

    async def _halt(self, error: LedgerError) -> None:
        """Stop until somebody reconciles; on the embedded chain do so at once."""
        self._enter(RecorderState.HALTED)
        self._trouble = error
        self._resume.clear()
        _log.error("recorder stopped", problem=str(error))
        if self.settings.reconcile_automatically and isinstance(error, BlocksLostError):
            try:
                await self._reconcile()
            except LedgerError as failure:
                self._trouble = failure
                _log.error("recorder not reconciled", problem=str(failure))
                if isinstance(failure, RpcError):
                    # The node fell again. What is on it when it is back decides what to do.
                    await asyncio.sleep(_RETRY)
                    return
        await self._resume.wait()

    async def _reconcile(self) -> Reconciliation:
        self._enter(RecorderState.RECONCILING)
        try:
            await verify_deployment(self._rpc, self._deployment)
            reconciler = Reconciler(self._rpc, self._deployment, self._outbox, self.settings)
            self._dispatcher.pending.forget()
            result, accesses = await reconciler.reconcile()
        except BaseException:
            self._enter(RecorderState.HALTED)
            raise
        self._dispatcher.pending.remember(accesses)
        self.last_reconciliation = result
        for difference in result.differences:
            _log.error("came out differently", reason=difference.in_short)
        self._enter(RecorderState.STARTING)
        self._resume.set()
        return result

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            problem = self._problem
            reason = str(problem) if problem is not None else "its block is not final in time"
            self._dispatcher.pending.sweep(reason)

    def _closed(self) -> RecorderError | None:
        """Return why nothing new is taken, if so."""
        if self._state is not RecorderState.RUNNING:
            return unavailable(self._trouble or f"the recorder is {self._state.value}")
        if not self._dispatcher.admitted:
            return unavailable(self._problem or "not admitted")
        return None

    def _check_running(self) -> None:
        if self._state is not RecorderState.RUNNING:
            raise unavailable(self._trouble or f"the recorder is {self._state.value}")

    def _joined(self, to: bytes, data: bytes) -> "list[asyncio.Future[Relayed]] | None":
        """Return those who wait for the same call already, if there is one."""
        same = self._dispatcher.queued_call(to, data) or self._outbox.flights.calling(to, data)
        return None if same is None else same.waiters

    async def _wait(self, waiters: "list[asyncio.Future[Relayed]]") -> Relayed:
        future: asyncio.Future[Relayed] = self._dispatcher.pending.await_call()
        waiters.append(future)
        return await future

    async def _try_out(self, to: bytes, data: bytes, sender: bytes, most: int = GAS_CAP) -> int:
        try:
            return await self._rpc.send(eth_methods.estimate_gas(to, data, sender, gas=most))
        except CallError as error:
            refusal = revert_in(error)
            if refusal is None:
                raise TransactionRejectedError(str(error)) from error
            await self._verify_whole()
            raise refusal from error

    async def _verify_whole(self) -> None:
        """Make sure that the node has what was final, before its refusal is passed on.

        A node that has just forgotten blocks refuses what rests on them, before anybody else notices.
        """
        try:
            await self._verify_mark()
        except BlocksLostError as error:
            raise unavailable(error) from error

    async def _examine(self, transaction: SignedTransaction) -> None:
        """Check that a party's transaction can be carried out, as far as that can be told."""
        content, sender = transaction.content, transaction.sender
        if await self._rpc.send(eth_methods.receipt(transaction.hash)) is not None:
            return
        mined = await self._rpc.send(eth_methods.transaction_count(sender))
        if content.nonce < mined:
            raise replaced(transaction.hash)
        expected = self._next_nonce_of(sender, mined)
        if content.nonce > expected:
            await self._verify_whole()
            problem = f"the party's next nonce is {expected}, this is {content.nonce}"
            raise TransactionRejectedError(problem)
        if content.nonce == mined:
            # Behind others it is not tried: it may need what they do.
            await self._try_out(content.to or b"", content.data, sender)

    def _next_nonce_of(self, sender: bytes, mined: int) -> int:
        """Return a party's first nonce that nothing on its way has: without a gap from `mined` on."""
        taken = {flight.nonce for flight in self._outbox.flights.of(sender)}
        taken.update(signed.content.nonce for signed in self._dispatcher.queued_of(sender))
        taken.update(nonce for party, nonce in self._arriving if party == sender)
        expected = mined
        while expected in taken:
            expected += 1
        return expected

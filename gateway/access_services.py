"""Accesses, relays, inbox and supervision, put together for one process."""

import asyncio
import sys
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.access_settings import AccessSettings
from gateway.accesses import Accesses
from gateway.bases import Bases
from gateway.callers import Callers
from gateway.errors import SettingsError, UnavailableError
from gateway.freshness import Freshness
from gateway.inbox import Inbox
from gateway.key_files import read_key_file
from gateway.keyholder_client import keyholder_at
from gateway.keyholders import Keyholders
from gateway.linking import Linking
from gateway.materials import Materials
from gateway.namings import Namings
from gateway.outlooks import Outlooks
from gateway.places import Places
from gateway.preflight import Preflight
from gateway.publications import Publications
from gateway.recording import Recording, make_up
from gateway.relay_limits import RelayLimits
from gateway.relays import Relayed, Relays
from gateway.releasing import Releaser
from gateway.showing import ReleaseStates, request_of
from gateway.statements import Statements
from gateway.store.alerts import AlertStore
from gateway.store.authorizations import AuthorizationStore
from gateway.store.database import Database
from gateway.store.inbox import InboxStore
from gateway.store.keyholder_reports import KeyholderReportStore
from gateway.store.links import LinkStore
from gateway.store.releases import ReleaseJournal
from gateway.supervision.enforcement import Enforcer
from gateway.supervision.keyholder_reports import KeyholderReports
from gateway.supervision.trail import SupervisedTrail
from gateway.supervision.watch import Watch
from gateway.terms import ChainTerms
from gateway.topics import CHAIN, Topics
from gateway.trail import IndexTrail
from ledger import failpoints, queries
from ledger.chain import Finality
from ledger.contracts import ContractCall
from ledger.deployment import Deployment
from ledger.exchange import RecordedAccess, Submission
from ledger.hexes import parse_address, to_hex
from ledger.http_client import HttpAsker
from ledger.http_connections import HttpClient
from ledger.index.index import Index
from ledger.index.rows import AccessEntry
from ledger.log_reader import LogPart, LogReader, next_part
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.rpc import AsyncRpc, RpcError
from ledger.service.rate_limit import RateLimit
from ledger.transactions import SignedTransaction
from ledger.typed_data import AccessRequest, SubjectLink, struct_hash

_PATIENCE: Final = 5.0
"""Seconds to wait for the index."""
_LOGS: Final = 500
"""Logs in one answer, about: some 400 kB."""
_LOG_BLOCKS: Final = 5_000
"""Blocks that one answer is about at most."""
_IDENTITY_TIMEOUT: Final = 5.0
_IDENTITY_IDLE: Final = 4.0
_MOST_LINK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Shared:
    """What the rest of the gateway has already."""

    database: Database
    index: Index
    publications: Publications
    deployment: Deployment
    rpc: AsyncRpc
    finality: Finality
    freshness: Freshness = field(init=False)
    """For what may have been put on chain a moment ago; one for all, who share its questions."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "freshness", Freshness(self.rpc, self.finality, self.index))


@dataclass(frozen=True, slots=True)
class AccessServices:
    """What the routes of accesses, relays, inbox and supervision work with."""

    shared: Shared
    settings: AccessSettings
    callers: Callers
    accesses: Accesses
    relays: Relays
    outlooks: Outlooks
    inbox: Inbox
    inbox_store: InboxStore
    authorizations: AuthorizationStore
    links: LinkStore
    linking: Linking
    journal: ReleaseJournal
    alerts: AlertStore
    keyholder_reports: KeyholderReports
    keyholders: Keyholders
    topics: Topics
    recorder: Recorder | None
    reader: LogReader
    """Of the contract `Authorizations`."""

    async def revocation_logs(self, since: int) -> LogPart:
        """Return all logs of `Authorizations` in some final blocks from one on; none when it is not there yet.

        Raises:
            UnavailableError: The node cannot be asked.
        """
        first = max(since, self.shared.deployment.block_number)
        last = self.shared.index.head.number
        if first > last:
            return LogPart(first, first - 1, ())
        try:
            return await next_part(self.shared.rpc, self.reader, first, last)
        except RpcError as error:
            raise UnavailableError(str(error), "chain-unavailable") from error

    async def index(self) -> Index:
        """Return the index once it has all that this gateway itself has told of: what one was answered is there."""
        last = None if self.recorder is None else self.recorder.follower.last
        if last is not None:
            with suppress(TimeoutError):  # then it is asked as it is
                async with asyncio.timeout(_PATIENCE):
                    await self.shared.index.wait_for(last.number)
        return self.shared.index

    def journal_end(self) -> tuple[bytes, int, bytes] | None:
        """Return the recorder whose accesses the journal has, up to which block (number, hash).

        None while it lacks some.

        What is recorded in that very moment may be a moment later in the journal than on chain. That
        is well within the release window, before which nobody takes it for silent.
        """
        last = None if self.recorder is None else self.recorder.follower.last
        if self.recorder is None or last is None or self.journal.unwritten:
            return None
        return self.recorder.account, last.number, last.hash

    async def release_states(self, entries: Iterable[AccessEntry]) -> ReleaseStates:
        """Return what became of accesses, as far as this gateway's journal knows."""
        ids = [struct_hash(request_of(entry)) for entry in entries]
        found = await self.journal.find(ids) if ids else {}
        handed_out = frozenset(one for one, entry in found.items() if entry.released is not None)
        newest = self.shared.index.head.timestamp
        return ReleaseStates(handed_out, newest - self.shared.deployment.release_window)

    async def problems(self) -> Mapping[str, str | None]:
        """Return, for `/readyz`, why something cannot be done now, by what it is."""
        keyholders = await self.keyholders.availability()
        return {"recorder": self._recorder_problem(), "keyholders": keyholders.problem}

    def _recorder_problem(self) -> str | None:
        if self.recorder is None:
            return "no recorder's key is configured"
        status = self.recorder.status
        if status.is_ready:
            return None
        return str(status.problem) if status.problem is not None else status.state.value


class NoRecorder:
    """`AccessRecorder` and `Relay` of a gateway that only reads."""

    async def check(self, consumer: bytes) -> None:
        """Refuse."""
        del consumer
        raise UnavailableError("this gateway has no recorder's key", "cannot-record")

    async def record(self, submission: Submission, access: bytes) -> RecordedAccess:
        """Refuse."""
        del submission, access
        raise UnavailableError("this gateway has no recorder's key", "cannot-record")

    async def relay(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        """Refuse."""
        del call, accepted
        raise UnavailableError("this gateway has no recorder's key", "cannot-record")

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        """Refuse."""
        del transaction
        raise UnavailableError("this gateway has no recorder's key", "cannot-record")


_Sender = Recording | NoRecorder


@asynccontextmanager
async def open_access_services(
    settings: AccessSettings, shared: Shared
) -> AsyncIterator[AccessServices]:
    """Start everything; at the end finish what is under way.

    The index must be open, the database migrated, the deployment verified.

    Raises:
        SettingsError: A key file cannot be read, or a keyholder is in no roster.
        JournalError: The recorder's journal cannot be used.
        StoreUnavailableError: The database cannot be used.
    """
    failpoints.arm(settings.failpoint)
    async with AsyncExitStack() as stack:
        journal = ReleaseJournal(shared.database)
        stack.push_async_callback(journal.close)
        authorizations = AuthorizationStore(shared.database)
        statements = Statements(authorizations, shared.index, shared.freshness.catch_up)
        keyholders = _keyholders(settings, shared.deployment, statements)
        stack.push_async_callback(keyholders.close)
        recorder = None
        if settings.recorder_key is not None:
            await make_up(settings.journal, journal)
            recorder = _recorder(settings, settings.recorder_key, shared, journal)
        sender = _sender(shared, recorder, journal)
        services = _assemble(
            settings, shared, journal, authorizations, statements, keyholders, sender, recorder
        )
        if recorder is not None:
            await recorder.start()
            stack.push_async_callback(recorder.close)
        stack.push_async_callback(services.accesses.close)
        _begin(stack, _tell(shared.index, services.topics))
        stack.push_async_callback(services.linking.close)
        if settings.identity is not None:
            _begin(stack, services.linking.run(settings.link_renewal_interval))
        if settings.supervision:
            _begin(stack, _watch(services, sender).run())
        yield services


def _sender(shared: Shared, recorder: Recorder | None, journal: ReleaseJournal) -> _Sender:
    if recorder is None:
        return NoRecorder()
    namings = Namings(shared.rpc, shared.deployment.contracts, recorder.account)
    return Recording(recorder, journal, namings)


def _keyholders(
    settings: AccessSettings, deployment: Deployment, statements: Statements
) -> Keyholders:
    rosters, domain = deployment.rosters, deployment.domain_of(AccessRequest)
    urls = {parse_address(text): str(url).rstrip("/") for text, url in settings.keyholders.items()}
    for address in urls.keys() - {member for roster in rosters for member in roster.members}:
        raise SettingsError(
            f"QUANCHENG_GATEWAY_KEYHOLDERS: {to_hex(address)} is in no roster of the deployment file"
        )
    clients = [
        keyholder_at(address, url, domain, timeout=settings.keyholder_timeout)
        for address, url in urls.items()
    ]
    return Keyholders(clients, rosters, statements.find, hedge=settings.keyholder_hedge)


def _identity(settings: AccessSettings) -> HttpAsker | None:
    if settings.identity is None:
        return None
    url = str(settings.identity).rstrip("/")
    return HttpClient(
        url, timeout=_IDENTITY_TIMEOUT, connections=4, most=_MOST_LINK, idle=_IDENTITY_IDLE
    )


def _recorder(
    settings: AccessSettings,
    key_file: Path,
    shared: Shared,
    journal: ReleaseJournal,
) -> Recorder:
    async def lookup(access: bytes) -> RecordedAccess | None:
        found = await journal.find([access])
        return found[access].recorded if access in found else None

    return Recorder(
        shared.rpc,
        shared.deployment,
        read_key_file(key_file, settings.recorder_password),
        settings.journal,
        RecorderSettings(
            finality=shared.finality,
            fee=settings.fee_rule,
            most_queued=settings.accesses_waiting,
            most_queued_of_one=settings.accesses_waiting_of_one,
            patience=settings.patience,
            keep_history=settings.embedded_chain,
            reconcile_automatically=settings.embedded_chain,
            sets_clock=settings.embedded_chain,
        ),
        lookup=lookup,
        unclaimed=journal.write_later,
    )


def _assemble(
    settings: AccessSettings,
    shared: Shared,
    journal: ReleaseJournal,
    authorizations: AuthorizationStore,
    statements: Statements,
    keyholders: Keyholders,
    sender: _Sender,
    recorder: Recorder | None,
) -> AccessServices:
    database = shared.database
    trail = IndexTrail(shared.index, lambda: _newest(recorder), shared.freshness.catch_up)
    links, bases = LinkStore(database), Bases(shared.index)
    linking = Linking(
        links,
        trail,
        shared.deployment.domain_of(SubjectLink),
        _identity(settings),
        window=shared.deployment.release_window,
    )
    inbox_store = InboxStore(database)
    alerts, topics = AlertStore(database), Topics()
    materials = Materials(shared.publications, links, linking, shared.index)
    callers = Callers(shared.index, trail, shared.freshness, shared.deployment)
    accesses = Accesses(
        domain=shared.deployment.domain_of(AccessRequest),
        recorder=sender,
        is_party=trail.is_party,
        bases=bases,
        statements=statements,
        materials=materials,
        preflight=Preflight(
            shared.publications, materials, shared.index, lag=settings.publication_lag
        ),
        releaser=Releaser(
            bases,
            materials,
            keyholders,
            journal,
            release_window=shared.deployment.release_window,
            newest_time=lambda: shared.index.head.timestamp,
            problem=lambda: shared.index.head.problem,
        ),
        keyholders=keyholders.confirm,
        keyholders_changed=keyholders.have_changed,
        journal=journal,
        newest_block=lambda: shared.index.head.number,
        throttle=RateLimit(settings.accesses_rate, settings.accesses_burst),
        most_waiting=settings.accesses_waiting,
        places=Places(shared.index) if settings.embedded_chain else None,
    )
    relays = Relays(
        deployment=shared.deployment,
        relay=sender,
        linking=linking,
        statements=statements,
        past=trail,
        limits=RelayLimits(callers, settings.transactions_rate, settings.transactions_burst),
        spent=lambda transaction: _is_spent(shared.rpc, transaction),
        links=links,
        authorizations=authorizations,
        inbox=inbox_store,
    )
    checker = ChainTerms(shared.rpc, shared.deployment)
    return AccessServices(
        shared=shared,
        settings=settings,
        callers=callers,
        accesses=accesses,
        relays=relays,
        outlooks=Outlooks(shared.rpc, callers.is_party),
        inbox=Inbox(inbox_store, authorizations, checker, trail),
        inbox_store=inbox_store,
        authorizations=authorizations,
        links=links,
        linking=linking,
        journal=journal,
        alerts=alerts,
        keyholder_reports=KeyholderReports(
            KeyholderReportStore(database),
            alerts,
            journal,
            topics,
            rosters=shared.deployment.rosters,
            domain=shared.deployment.domain_of(AccessRequest),
        ),
        keyholders=keyholders,
        topics=topics,
        recorder=recorder,
        reader=LogReader(
            [shared.deployment.contracts.authorizations], wanted=_LOGS, longest=_LOG_BLOCKS
        ),
    )


async def _is_spent(rpc: AsyncRpc, transaction: SignedTransaction) -> bool:
    try:
        return transaction.content.nonce < await rpc.send(
            queries.transaction_count(transaction.sender)
        )
    except RpcError as error:
        raise UnavailableError("the node cannot be asked", "chain-unavailable") from error


def _newest(recorder: Recorder | None) -> int:
    """Return the number of the newest final block that a recorder knows; of one far ahead before that."""
    if recorder is None:
        return -1
    last = recorder.follower.last
    return sys.maxsize if last is None else last.number


def _watch(services: AccessServices, sender: _Sender) -> Watch:
    settings, shared = services.settings, services.shared
    enforcer = None
    if settings.supervisor_key is not None:
        key = read_key_file(settings.supervisor_key, settings.supervisor_password)
        enforcer = Enforcer(shared.deployment, shared.rpc, sender, key, settings.fee_rule)
    return Watch(
        SupervisedTrail(shared.index, services.journal),
        services.alerts,
        services.topics,
        bounds=settings.bounds,
        enforcement=settings.enforcement,
        suspending=enforcer,
    )


async def _tell(index: Index, topics: Topics) -> None:
    head = index.head
    while True:
        head = await index.wait_for_change(head)
        topics.touch(CHAIN)


def _begin(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)

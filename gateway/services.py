"""The wiring of one gateway: everything that lives as long as the process, started and ended in order."""

import asyncio
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.access.content import Bases, ReleaseContents
from gateway.access.keyholder_client import keyholder_at
from gateway.access.keyholders import Keyholders
from gateway.access.links import Linking
from gateway.access.preflight import Preflight
from gateway.access.read_after_write import Freshness
from gateway.access.recorder import Recording, make_up
from gateway.access.release import Releaser
from gateway.access.service import Accesses
from gateway.api.presenters import ReleaseStates
from gateway.auth import Authenticator, CallerLimits, Callers, Rules
from gateway.chain.accounts import Namings, read_key_file
from gateway.chain.contract_accounts import ContractAccounts
from gateway.chain.indexer import Following
from gateway.consent.inbox import Inbox
from gateway.consent.relays import RelayLimits, Relays
from gateway.consent.statements import Statements
from gateway.errors import GatewayError, SettingsError, StoreUnavailableError, UnavailableError
from gateway.metrics import Metrics
from gateway.notifications import CHAIN, Topics
from gateway.publishing.publications import Publications
from gateway.publishing.service import Limits, Publishing
from gateway.settings import AccessSettings, Settings
from gateway.store.alerts import AlertStore, KeyholderReportStore
from gateway.store.authorizations import AuthorizationStore
from gateway.store.database import Database, migrate
from gateway.store.inbox import InboxStore
from gateway.store.links import LinkStore
from gateway.store.publications import PublicationStore
from gateway.store.releases import ReleaseJournal, access_id
from gateway.store.sessions import NonceMemory, SessionStore
from gateway.store.uploads import UploadStore
from gateway.supervision.keyholder_reports import KeyholderReports, SupervisedTrail
from gateway.supervision.watch import Enforcer, Watch
from ledger import failpoints
from ledger.api import RecordedAccess
from ledger.chain.deployment import Deployment, DeploymentError, read_deployment
from ledger.chain.http_client import HttpClient
from ledger.chain.log_reader import LogPart, LogReader, next_part
from ledger.chain.rpc import AsyncRpc, RpcError, RpcSettings
from ledger.hexstr import parse_address, to_hex
from ledger.index.index import Index, Origin
from ledger.index.rows import AccessEntry
from ledger.recorder.recorder import Recorder
from ledger.recorder.settings import RecorderSettings
from ledger.service.challenges import KEY_BYTES, ChallengeProofs
from ledger.service.logs import describe, get_logger
from ledger.service.rate_limit import RateLimit
from ledger.typed_data import AccessRequest, SubjectLink

_TIMEOUT: Final = 5.0
"""Seconds to wait for the index."""
_LOGS: Final = 500
"""Logs in one answer, about: some 400 kB."""
_LOG_BLOCKS: Final = 5_000
"""Blocks that one answer is about at most."""
_IDENTITY_TIMEOUT: Final = 5.0
_IDENTITY_IDLE: Final = 4.0
_MAX_LINK: Final = 64 * 1024

_log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    settings: Settings
    access_settings: AccessSettings
    deployment: Deployment
    rpc: AsyncRpc
    database: Database
    index: Index
    freshness: Freshness
    """For what may have been put on chain a moment ago; one for all, who share its questions."""
    following: Following
    publications: Publications
    publishing: Publishing
    authenticator: Authenticator
    callers: Callers
    nonces: NonceMemory
    sessions: SessionStore
    uploads: UploadStore
    accesses: Accesses
    relays: Relays
    inbox: Inbox
    inbox_store: InboxStore
    authorizations: AuthorizationStore
    links: LinkStore
    journal: ReleaseJournal
    alerts: AlertStore
    keyholder_reports: KeyholderReports
    keyholders: Keyholders
    topics: Topics
    recorder: Recorder | None
    log_reader: LogReader
    """Of the contract `Authorizations`."""
    metrics: Metrics = field(default_factory=Metrics)
    noted: dict[str, str | None] = field(default_factory=dict)
    """Last answer of each check: the log tells of changes."""

    async def revocation_logs(self, since: int) -> LogPart:
        """Return all logs of `Authorizations` in some final blocks from one on; none when it is not there yet.

        Raises:
            UnavailableError: The node cannot be asked.
        """
        first = max(since, self.deployment.block_number)
        last = self.index.head.number
        if first > last:
            return LogPart(first, first - 1, ())
        try:
            return await next_part(self.rpc, self.log_reader, first, last)
        except RpcError as error:
            raise UnavailableError(str(error), "chain-unavailable") from error

    async def fresh_index(self) -> Index:
        """Return the index once it has all that this gateway itself has told of, so that callers see their writes."""
        last = None if self.recorder is None else self.recorder.follower.last
        if last is not None:
            with suppress(TimeoutError):  # then it is asked as it is
                async with asyncio.timeout(_TIMEOUT):
                    await self.index.wait_for(last.number)
        return self.index

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
        ids = [access_id(entry) for entry in entries]
        found = await self.journal.find(ids) if ids else {}
        handed_out = frozenset(id_ for id_, entry in found.items() if entry.released is not None)
        return ReleaseStates(handed_out, self.index.head.timestamp - self.deployment.release_window)

    async def problems(self) -> Mapping[str, str | None]:
        """Return, for `/readyz`, each check and why it fails; None where all is well."""
        try:
            await self.database.check()
            database = None
        except StoreUnavailableError as error:
            database = error.reason
        recorder: str | None = "no recorder's key is configured"
        if self.recorder is not None:
            status = self.recorder.status
            recorder = None if status.is_ready else str(status.problem or status.state.value)
        found: dict[str, str | None] = {
            "database": database,
            "chain": self.following.problem,
            "recorder": recorder,
            "keyholders": (await self.keyholders.availability()).problem,
        }
        for check, problem in found.items():
            self.metrics.ready.labels(check).set(problem is None)
            if self.noted.get(check, "") != problem:
                self.noted[check] = problem
                log = _log.info if problem is None else _log.warning
                log("ready" if problem is None else "not ready", check=check, reason=problem)
        return found

    async def measure(self) -> None:
        """Set all gauges: a scrape of `/metrics` alone shows everything that an alarm needs."""
        await self.problems()
        head, keyholders = self.index.head, await self.keyholders.availability()
        found: dict[str, float] = {
            "final_block": self.following.final_block,
            "indexed_block": head.number,
            "indexed_block_timestamp_seconds": head.timestamp,
            "indexed_accesses": head.sequence,
            "accesses_waiting": self.accesses.waiting,
            "keyholders_ready": keyholders.ready,
            "keyholders_needed": keyholders.needed,
            "journal_disk_free_bytes": await asyncio.to_thread(_room, self.access_settings.journal),
        }
        if self.recorder is not None:
            status = self.recorder.status
            found |= {"recorder_queued": status.queued, "recorder_in_flight": status.in_flight}
            if status.reconciliation is not None:
                found["reconciliation_differences"] = len(status.reconciliation.differences)
        with suppress(GatewayError):  # the check of the database says so
            found["last_alert"] = await self.alerts.last()
        for name, value in found.items():
            self.metrics.state[name].set(value)


@asynccontextmanager
async def open_services(
    settings: Settings, access_settings: AccessSettings
) -> AsyncIterator[Services]:
    """Start everything; at the end finish what is under way.

    A node that does not answer keeps nobody from starting: `/readyz` tells.

    Raises:
        SettingsError: The deployment or a key file cannot be read, or a keyholder is in no roster.
        StoreUnavailableError: The database cannot be used.
        JournalError: The recorder's journal cannot be used.
    """
    failpoints.arm(access_settings.failpoint)
    try:
        deployment = await asyncio.to_thread(read_deployment, settings.deployment)
    except DeploymentError as error:
        raise SettingsError(str(error)) from error
    async with AsyncExitStack() as stack:
        database = Database(
            settings.database_url, timeout=settings.database_timeout, pool=settings.database_pool
        )
        stack.push_async_callback(database.close)
        await migrate(database)
        rpc = await stack.enter_async_context(
            AsyncRpc(str(settings.node_url), RpcSettings(timeout=settings.node_timeout))
        )
        index = Index(
            database,
            Origin(
                deployment.genesis_hash,
                deployment.contracts.access_log,
                deployment.block_number - 1,
            ),
        )
        await index.open()
        journal = ReleaseJournal(database)
        stack.push_async_callback(journal.close)
        recorder = await _recorder(settings, access_settings, deployment, rpc, journal)
        services, linking, sender = await _assemble(
            settings, access_settings, deployment, rpc, database, index, journal, recorder
        )
        stack.push_async_callback(services.keyholders.close)
        if recorder is not None:
            await recorder.start()
            stack.push_async_callback(recorder.close)
        stack.push_async_callback(services.accesses.close)
        stack.push_async_callback(linking.close)
        _start(stack, _tell(index, services.topics))
        if access_settings.identity is not None:
            _start(stack, linking.run(access_settings.link_renewal_interval))
        if access_settings.supervision:
            _start(stack, _watch(services, sender).run())
        _start(stack, services.following.run())
        _start(stack, _keep_house(services))
        yield services


async def _recorder(
    settings: Settings,
    access_settings: AccessSettings,
    deployment: Deployment,
    rpc: AsyncRpc,
    journal: ReleaseJournal,
) -> Recorder | None:
    if access_settings.recorder_key is None:
        return None
    await make_up(access_settings.journal, journal)

    async def lookup(access: bytes) -> RecordedAccess | None:
        entry = (await journal.find([access])).get(access)
        return None if entry is None else entry.recorded

    return Recorder(
        rpc,
        deployment,
        read_key_file(access_settings.recorder_key, access_settings.recorder_password),
        access_settings.journal,
        RecorderSettings(
            finality=settings.finality_rule,
            fee=access_settings.fee_rule,
            most_queued=access_settings.max_pending_accesses,
            most_queued_of_one=access_settings.max_pending_accesses_per_consumer,
            patience=access_settings.access_timeout,
            keep_history=access_settings.embedded_chain,
            reconcile_automatically=access_settings.embedded_chain,
            sets_clock=access_settings.embedded_chain,
        ),
        lookup=lookup,
        unclaimed=journal.write_later,
    )


async def _assemble(
    settings: Settings,
    access_settings: AccessSettings,
    deployment: Deployment,
    rpc: AsyncRpc,
    database: Database,
    index: Index,
    journal: ReleaseJournal,
    recorder: Recorder | None,
) -> tuple[Services, Linking, Recording]:
    domain = deployment.domain_of(AccessRequest)
    freshness = Freshness(index, rpc, settings.finality_rule, lambda: _newest(recorder))
    callers = Callers(index, freshness, deployment.authority)
    uploads, publication_store = UploadStore(database), PublicationStore(database)
    publications = Publications(publication_store, tile_memory=settings.tile_memory)
    authorizations, inbox_store = AuthorizationStore(database), InboxStore(database)
    alerts, topics, links = AlertStore(database), Topics(), LinkStore(database)
    sessions, nonces = SessionStore(database), NonceMemory(database)

    statements = Statements(authorizations, index, freshness.catch_up)
    keyholders = _keyholders(access_settings, deployment, statements)
    identity = None
    if access_settings.identity is not None:
        identity = HttpClient(
            str(access_settings.identity).rstrip("/"),
            timeout=_IDENTITY_TIMEOUT,
            connections=4,
            most=_MAX_LINK,
            idle=_IDENTITY_IDLE,
        )
    linking = Linking(
        links,
        freshness,
        deployment.domain_of(SubjectLink),
        identity,
        window=deployment.release_window,
    )
    namings = None
    if recorder is not None:
        namings = Namings(rpc, deployment.contracts, recorder.account)
    sender = Recording(recorder, namings, journal)

    bases, materials = Bases(index), ReleaseContents(publications, links, linking, index)
    accesses = Accesses(
        domain=domain,
        recorder=sender,
        is_party=freshness.is_party,
        bases=bases,
        statements=statements,
        materials=materials,
        preflight=Preflight(publications, materials, index, lag=access_settings.publication_lag),
        releaser=Releaser(
            bases,
            materials,
            keyholders,
            journal,
            release_window=deployment.release_window,
            newest_time=lambda: index.head.timestamp,
            problem=lambda: index.head.problem,
        ),
        keyholders=keyholders,
        journal=journal,
        newest_block=lambda: index.head.number,
        throttle=RateLimit(access_settings.accesses_rate, access_settings.accesses_burst),
        most_waiting=access_settings.max_pending_accesses,
        moving=index if access_settings.embedded_chain else None,
    )
    relays = Relays(
        deployment=deployment,
        rpc=rpc,
        index=index,
        relay=sender,
        linking=linking,
        statements=statements,
        limits=RelayLimits(
            callers, access_settings.transactions_rate, access_settings.transactions_burst
        ),
        authorizations=authorizations,
        inbox=inbox_store,
    )
    authenticator = Authenticator(
        Rules(
            chain_id=deployment.chain_id,
            authorities=settings.all_authorities,
            scheme=settings.scheme,
            lifetime=settings.signature_lifetime,
            clock_skew=settings.clock_skew,
            session_lifetime=settings.session_lifetime,
        ),
        nonces,
        sessions,
        ChallengeProofs(await sessions.challenge_key(secrets.token_bytes(KEY_BYTES))),
        {deployment.webauthn_verifier},
        CallerLimits(
            callers,
            RateLimit(settings.requests_rate, settings.requests_burst),
            RateLimit(settings.sign_in_rate, settings.sign_in_burst),
        ),
        ContractAccounts(rpc, callers.bucket_of),
    )
    services = Services(
        settings=settings,
        access_settings=access_settings,
        deployment=deployment,
        rpc=rpc,
        database=database,
        index=index,
        freshness=freshness,
        following=Following(
            rpc, deployment, index, settings, recorder, mends=access_settings.embedded_chain
        ),
        publications=publications,
        publishing=Publishing(
            uploads,
            publication_store,
            publications,
            limits=Limits(settings.chunk_records, settings.chunk_bytes, settings.line_limit),
            clock=lambda: int(time.time()),
        ),
        authenticator=authenticator,
        callers=callers,
        nonces=nonces,
        sessions=sessions,
        uploads=uploads,
        accesses=accesses,
        relays=relays,
        inbox=Inbox(inbox_store, authorizations, freshness, rpc, deployment.contracts.agreements),
        inbox_store=inbox_store,
        authorizations=authorizations,
        links=links,
        journal=journal,
        alerts=alerts,
        keyholder_reports=KeyholderReports(
            KeyholderReportStore(database),
            alerts,
            journal,
            topics,
            rosters=deployment.rosters,
            domain=domain,
        ),
        keyholders=keyholders,
        topics=topics,
        recorder=recorder,
        log_reader=LogReader(
            [deployment.contracts.authorizations], wanted=_LOGS, longest=_LOG_BLOCKS
        ),
    )
    return services, linking, sender


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


def _newest(recorder: Recorder | None) -> int:
    """Return the number of the newest final block that a recorder knows; before that, of a block far ahead."""
    if recorder is None:
        return -1
    last = recorder.follower.last
    return sys.maxsize if last is None else last.number


def _watch(services: Services, sender: Recording) -> Watch:
    settings = services.access_settings
    enforcer = None
    if settings.supervisor_key is not None:
        key = read_key_file(settings.supervisor_key, settings.supervisor_password)
        enforcer = Enforcer(services.deployment, services.rpc, sender, key, settings.fee_rule)
    return Watch(
        SupervisedTrail(services.index, services.journal),
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
        topics.notify(CHAIN)


async def _keep_house(services: Services) -> None:
    """Remove, now and then, what expired."""
    settings = services.settings
    while True:
        await asyncio.sleep(settings.housekeeping_interval)
        now = int(time.time())
        try:
            await services.problems()
            await services.nonces.forget(now)
            await services.sessions.forget(now)
            await services.inbox_store.forget(now)
            await services.uploads.clear(now, now - settings.upload_lifetime)
        except GatewayError as error:
            _log.warning("housekeeping failed", error=describe(error))


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


def _room(directory: Path) -> int:
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return shutil.disk_usage(directory).free

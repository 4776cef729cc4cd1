"""Everything that lives as long as the gateway, started and ended in order."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.access_services import AccessServices, Shared, open_access_services
from gateway.access_settings import AccessSettings
from gateway.auth import Authenticator, CallerLimits, Rules
from gateway.contract_accounts import ChainAccounts
from gateway.errors import GatewayError, SettingsError, StoreUnavailableError
from gateway.following import Following
from gateway.metrics import Metrics
from gateway.publications import Publications
from gateway.publishing import Limits, Publishing
from gateway.settings import Settings
from gateway.store.database import Database
from gateway.store.migrate import migrate
from gateway.store.nonces import NonceMemory
from gateway.store.publications import PublicationStore
from gateway.store.sessions import SessionStore
from gateway.store.uploads import UploadStore
from ledger.deployment import Deployment, DeploymentError, read_deployment
from ledger.index.index import Index, Origin
from ledger.logs import describe, get_logger
from ledger.rpc import AsyncRpc, RpcSettings
from ledger.service.challenge_proofs import KEY_BYTES, ChallengeProofs
from ledger.service.rate_limit import RateLimit

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with."""

    settings: Settings
    deployment: Deployment
    database: Database
    index: Index
    following: Following
    publications: Publications
    publishing: Publishing
    authenticator: Authenticator
    nonces: NonceMemory
    sessions: SessionStore
    uploads: UploadStore
    access: AccessServices
    metrics: Metrics
    noted: dict[str, str | None] = field(default_factory=dict)
    """What each check said the last time: the log tells of changes."""

    async def problems(self) -> Mapping[str, str | None]:
        """Return, for `/readyz`, each check and why it fails; None where all is well."""
        try:
            await self.database.check()
            database = None
        except StoreUnavailableError as error:
            database = error.reason
        found: dict[str, str | None] = {
            "database": database,
            "chain": self.following.problem,
            **await self.access.problems(),
        }
        for check, problem in found.items():
            self.metrics.ready.labels(check).set(problem is None)
            if self.noted.get(check, "") != problem:
                self.noted[check] = problem
                told = _log.info if problem is None else _log.warning
                told("ready" if problem is None else "not ready", check=check, reason=problem)
        return found


@asynccontextmanager
async def open_services(
    settings: Settings, access_settings: AccessSettings
) -> AsyncIterator[Services]:
    """Start everything; at the end finish what is under way.

    A node that does not answer keeps nobody from starting: `/readyz` tells.

    Raises:
        SettingsError: The deployment or a key file cannot be read.
        StoreUnavailableError: The database cannot be used.
        JournalError: The recorder's journal cannot be used.
    """
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
        index = Index(database, _origin(deployment))
        await index.open()
        publication_store = PublicationStore(database)
        publications = Publications(publication_store, tile_memory=settings.tile_memory)
        shared = Shared(database, index, publications, deployment, rpc, settings.finality_rule)
        access = await stack.enter_async_context(open_access_services(access_settings, shared))
        following = Following(
            rpc,
            deployment,
            index,
            settings,
            access.recorder,
            mends=access_settings.embedded_chain,
        )
        uploads, nonces = UploadStore(database), NonceMemory(database)
        sessions = SessionStore(database)
        services = Services(
            settings=settings,
            deployment=deployment,
            database=database,
            index=index,
            following=following,
            publications=publications,
            publishing=Publishing(
                uploads,
                publication_store,
                publications,
                limits=Limits(settings.chunk_records, settings.chunk_bytes, settings.line_limit),
                clock=lambda: int(time.time()),
            ),
            authenticator=Authenticator(
                _rules(settings, deployment),
                nonces,
                sessions,
                ChallengeProofs(await sessions.challenge_key(secrets.token_bytes(KEY_BYTES))),
                {deployment.webauthn_verifier},
                CallerLimits(
                    access.callers,
                    RateLimit(settings.requests_rate, settings.requests_burst),
                    RateLimit(settings.sign_in_rate, settings.sign_in_burst),
                ),
                ChainAccounts(rpc, access.callers.bucket_of),
            ),
            nonces=nonces,
            sessions=sessions,
            uploads=uploads,
            access=access,
            metrics=Metrics(),
        )
        for work in (following.run(), _keep_house(services)):
            task = asyncio.get_running_loop().create_task(work)
            stack.push_async_callback(_end, task)
        yield services


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


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
            await services.access.inbox_store.forget(now)
            await services.uploads.clear(now, now - settings.upload_lifetime)
        except GatewayError as error:
            _log.warning("housekeeping failed", error=describe(error))


def _origin(deployment: Deployment) -> Origin:
    return Origin(
        deployment.genesis_hash, deployment.contracts.access_log, deployment.block_number - 1
    )


def _rules(settings: Settings, deployment: Deployment) -> Rules:
    return Rules(
        chain_id=deployment.chain_id,
        authorities=settings.all_authorities,
        scheme=settings.scheme,
        lifetime=settings.signature_lifetime,
        clock_skew=settings.clock_skew,
        session_lifetime=settings.session_lifetime,
    )

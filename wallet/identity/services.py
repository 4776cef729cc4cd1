"""The authority's parts, put together once when the process starts."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ledger.chain.deployment import Deployment
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc
from ledger.service.auth import Authenticator
from ledger.service.rate_limit import RateLimit
from wallet.identity.chain import ChainDesk
from wallet.identity.counter import Counter
from wallet.identity.database import Database
from wallet.identity.enrolment import Enrolments
from wallet.identity.handles import Gateway
from wallet.identity.keys import AuthorityKeys
from wallet.identity.links import Links
from wallet.identity.lookups import LookupLog, Resolver
from wallet.identity.outbox import Outbox
from wallet.identity.possession_proofs import Texts
from wallet.identity.recoveries import Recoveries
from wallet.identity.registrar import Registrar
from wallet.identity.sessions import Sessions
from wallet.identity.settings import IdentitySettings
from wallet.identity.store import Store
from wallet.identity.watch import Watcher


@dataclass(frozen=True, slots=True)
class Limits:
    """Rates; see the settings of the same names."""

    renewals: RateLimit
    resolutions: RateLimit
    misses: RateLimit
    owners: RateLimit
    subjects: RateLimit


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that the routes work with."""

    settings: IdentitySettings
    deployment: Deployment
    keys: AuthorityKeys
    store: Store
    lookups: LookupLog
    chain: ChainDesk
    links: Links
    outbox: Outbox
    watcher: Watcher
    registrar: Registrar
    enrolments: Enrolments
    recoveries: Recoveries
    counter: Counter
    resolver: Resolver
    sessions: Sessions
    texts: Texts
    limits: Limits
    authenticator: Authenticator
    clock: Callable[[], float]


def put_together(
    settings: IdentitySettings,
    keys: AuthorityKeys,
    deployment: Deployment,
    database: Database,
    rpc: AsyncRpc,
    http: httpx.AsyncClient,
    clock: Callable[[], float],
) -> Services:
    """Return the parts; `rpc` is the authority's node, `http` leads to the gateway."""
    chain_id, finality = deployment.chain_id, Finality.parse(settings.finality)
    store, lookups, chain = Store(database), LookupLog(database), ChainDesk(rpc, deployment)
    outbox = Outbox(
        database,
        rpc,
        deployment,
        finality=finality,
        private_key=keys.account,
        fee=settings.fee_rule,
    )
    watcher = Watcher(database, rpc, deployment, finality=finality, poll=settings.poll_interval)
    registrar = Registrar(database, outbox, settings.batch_seconds)
    texts = Texts(chain_id, keys.address, {deployment.webauthn_verifier})
    gateway = Gateway(http, chain_id, keys.account, clock)

    def limit(amount: int, seconds: int) -> RateLimit:
        return RateLimit(amount / seconds, amount, clock=clock)

    return Services(
        settings=settings,
        deployment=deployment,
        keys=keys,
        store=store,
        lookups=lookups,
        chain=chain,
        links=Links(keys, deployment, store, chain, watcher),
        outbox=outbox,
        watcher=watcher,
        registrar=registrar,
        enrolments=Enrolments(store, registrar, texts, settings.code_seconds, clock),
        counter=Counter(store, outbox, watcher),
        recoveries=Recoveries(database, store, outbox, watcher, rpc, settings.recovery_spread),
        resolver=Resolver(store, lookups, chain, gateway, clock),
        sessions=Sessions(texts, keys.address, clock),
        texts=texts,
        limits=Limits(
            renewals=limit(settings.renewals_per_hour, 3600),
            resolutions=limit(settings.resolutions_per_minute, 60),
            misses=limit(settings.misses_per_hour, 3600),
            owners=limit(settings.owners_per_minute, 60),
            subjects=limit(settings.links_per_minute, 60),
        ),
        authenticator=Authenticator(chain_id, settings.known_as, clock),
        clock=clock,
    )

"""The keyholder over HTTP."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response

from ledger.api.keyholder import (
    BlockDescription,
    EpochDescription,
    HolderDescription,
    SubkeysAnswer,
    SubkeysRequest,
    decode_tasks,
    encode_answers,
)
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc
from ledger.crypto.released_parts import holder_digest, subkeys_digest
from ledger.crypto.signatures import sign
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.release_rules import Reason, ReleaseRefusedError
from ledger.service.app import INTERNAL, MALFORMED, ProblemKind, make_app
from ledger.service.auth import Authenticator
from ledger.service.logs import get_logger
from ledger.service.request_body import parse_model, read_body
from ledger.typed_data import AccessRequest, Domain, SubjectLink
from wallet.errors import WalletError
from wallet.keyholder.chain_state import NO_BLOCK
from wallet.keyholder.errors import (
    JournalError,
    KeyholderError,
    NotFollowingError,
    SeedsMissingError,
)
from wallet.keyholder.follower import Follower, Following
from wallet.keyholder.journal import FileJournal, NotedEntry
from wallet.keyholder.releases import Releases, Sessions, Vault
from wallet.keyholder.rules import Rules
from wallet.keyholder.seeds import Holdings
from wallet.keyholder.settings import KeyholderSettings
from wallet.links import RememberedLinks

_log = get_logger()


@dataclass(slots=True)
class BlockNotes:
    """Notes the newest final block, at the start and then once in each interval of block times.

    Attributes:
        follower: Knows the chain.
        journal: Where releases are noted.
        interval: Seconds, of the blocks.
        poll: Seconds between two looks.
        clock: The present, seconds since 1970.
    """

    follower: Follower
    journal: FileJournal
    interval: int
    poll: float
    clock: Callable[[], float]
    _due: int = 0

    async def run(self) -> None:
        """Note until cancelled. What cannot be noted now is tried again at the next look."""
        while True:
            try:
                await self.step()
            except JournalError as error:
                _log.warning("block_not_noted", problem=str(error))
            except NotFollowingError:
                pass  # the follower says so
            await asyncio.sleep(self.poll)

    async def step(self) -> None:
        """Note the newest final block, if it is time.

        Raises:
            NotFollowingError: The chain is not known as it is now.
            JournalError: Nothing can be noted.
        """
        block = self.follower.require().block
        if block.timestamp < self._due:
            return
        entry = NotedEntry(1, int(self.clock()), block.number, to_hex(block.hash))
        await self.journal.note([entry])
        self._due = block.timestamp + self.interval


MAX_BYTES: Final = 32 * 1024 * 1024
"""A thousand tasks of some records each."""

_MAX_SUBKEYS_BYTES: Final = 1024

PROBLEMS: Final = {
    LedgerError: MALFORMED,
    WalletError: INTERNAL,
    NotFollowingError: ProblemKind(
        "not-following", 503, "The keyholder does not know the chain as it is now"
    ),
    JournalError: ProblemKind(
        "journal-unwritable", 503, "Nothing can be noted, so nothing is released"
    ),
    SeedsMissingError: ProblemKind("seeds-missing", 503, "The keyholder lacks seeds"),
    ReleaseRefusedError: ProblemKind("key-unusable", 409, Reason.KEY_UNUSABLE.title),
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the routes work with."""

    settings: KeyholderSettings
    holdings: Holdings
    following: Following
    follower: Follower
    journal: FileJournal
    notes: BlockNotes
    releases: Releases
    authenticator: Authenticator
    access_log: Domain


async def _parts(request: Request) -> Parts:  # one that is not async would be called in a thread
    parts: Parts = request.app.state.parts
    return parts


Opened = Annotated[Parts, Depends(_parts)]
Nonce = Annotated[str | None, Query(pattern="^0x[0-9a-f]{64}$")]
router = APIRouter(prefix="/v1")


def create_app(
    settings: KeyholderSettings, holdings: Holdings, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the service.

    Args:
        settings: Where everything is.
        holdings: As opened with the keystore's password.
        clock: The present, seconds since 1970.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deployment = read_deployment(settings.deployment)
        async with AsyncRpc(settings.node) as rpc:
            parts = _open(settings, holdings, deployment, rpc, clock)
            app.state.parts = parts
            tasks = [
                asyncio.create_task(parts.follower.run()),
                asyncio.create_task(parts.notes.run()),
            ]
            yield
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await parts.journal.close()

    app = make_app(
        "Quancheng keyholder",
        lifespan=lifespan,
        readiness=lambda: _check_ready(app.state.parts),
        problems=PROBLEMS,
    )
    app.include_router(router)
    return app


def _open(
    settings: KeyholderSettings,
    holdings: Holdings,
    deployment: Deployment,
    rpc: AsyncRpc,
    clock: Callable[[], float],
) -> Parts:
    _check_rosters(holdings, deployment)
    following = Following(
        finality=Finality.parse(settings.finality),
        release_window=_stricter(
            "release_window", settings.release_window, deployment.release_window
        ),
        head_age=_stricter("head_age", settings.head_age, deployment.head_age),
        poll=settings.poll_interval,
        stale_after=settings.stale_after,
    )
    follower = Follower(rpc, deployment, following, wall=clock)
    journal = FileJournal(settings.journal)
    access_log = deployment.domain_of(AccessRequest)
    window, lag = following.release_window, settings.publication_lag
    return Parts(
        settings=settings,
        holdings=holdings,
        following=following,
        follower=follower,
        journal=journal,
        # Once in a window: whoever waits for a window to be over waits for two at most.
        notes=BlockNotes(follower, journal, window, following.poll, clock),
        releases=Releases(
            vault=Vault(holdings),
            account=holdings.account,
            follower=follower,
            journal=journal,
            rules=Rules(access_log, window, lag, settings.pinned),
            links=RememberedLinks(deployment.domain_of(SubjectLink)),
            sessions=Sessions(time.monotonic),
            patience=settings.block_timeout,
            clock=clock,
        ),
        authenticator=Authenticator(deployment.chain_id, settings.known_as, clock),
        access_log=access_log,
    )


def _check_rosters(holdings: Holdings, deployment: Deployment) -> None:
    """Refuse to begin with another roster than everybody else believes: parts of it fit nobody's.

    An epoch that the file does not have yet is one between its ceremony and its publication.
    """
    for roster in deployment.rosters:
        own = holdings.epochs.get(roster.epoch)
        if own is not None and own.roster != roster:
            raise KeyholderError(
                f"the deployment file has roster {to_hex(roster.digest())} of epoch {roster.epoch}, "
                f"the seeds here are of {to_hex(own.roster.digest())}"
            )


def _stricter(name: str, own: int | None, deployed: int) -> int:
    """Return a keyholder's own bound; replay judges by the deployment's, so a laxer one is refused."""
    if own is None:
        return deployed
    if own > deployed:
        raise KeyholderError(
            f"QUANCHENG_KEYHOLDER_{name.upper()} is {own} s, the deployment lets {deployed}"
        )
    return own


def _check_ready(parts: Parts) -> None:
    parts.follower.require()
    parts.holdings.newest()
    if parts.journal.failed:
        raise JournalError("the last write to the release journal failed")


@router.get("/holder")
async def holder(parts: Opened, nonce: Nonce = None) -> HolderDescription:
    """Tell who this keyholder is, which epochs it holds seeds of, and whose links it believes."""
    holdings, known, pinned = parts.holdings, parts.follower.register, parts.settings.pinned
    block, signature = known.block, None
    if nonce is not None:
        digest = holder_digest(from_hex(nonce), parts.access_log)
        signature = to_hex(sign(digest, holdings.account))
    return HolderDescription(
        address=to_hex(holdings.address),
        encryption_key=to_hex(holdings.opening.encryption_key.to_bytes()),
        epochs=tuple(
            EpochDescription(
                epoch=epoch,
                number=seeds.number,
                threshold=seeds.roster.threshold,
                members=tuple(map(to_hex, seeds.roster.members)),
                complete=not seeds.missing,
            )
            for epoch, seeds in sorted(holdings.epochs.items())
        ),
        release_window=parts.following.release_window,
        head_age=parts.following.head_age,
        block=None
        if block is NO_BLOCK
        else BlockDescription(
            number=block.number, hash=to_hex(block.hash), timestamp=block.timestamp
        ),
        problem=parts.follower.problem,
        identity_authorities=tuple(sorted(map(to_hex, pinned))),
        unpinned=tuple(sorted(map(to_hex, known.identity_authorities - pinned))),
        signature=signature,
    )


@router.post("/subkeys")
async def subkeys(request: Request, parts: Opened) -> SubkeysAnswer:
    """Give a provider the keys that encrypt its dataset. Signed by the provider (RFC 9421)."""
    provider, body = await parts.authenticator.signer(
        request, _MAX_SUBKEYS_BYTES, parts.releases.verify_provider
    )
    wanted = parse_model(body, SubkeysRequest)
    dataset = wanted.dataset
    released = await parts.releases.subkeys(dataset, provider, wanted.epoch)
    roster, sealed = released.seeds.roster, released.sealed
    digest = subkeys_digest(roster.digest(), dataset, provider, sealed, parts.access_log)
    return SubkeysAnswer(
        holder=released.seeds.number,
        address=to_hex(parts.holdings.address),
        epoch=roster.epoch,
        threshold=roster.threshold,
        members=tuple(map(to_hex, roster.members)),
        sealed=b64encode(sealed).decode("ascii"),
        signature=to_hex(sign(digest, parts.holdings.account)),
    )


@router.post("/releases")
async def releases(request: Request, parts: Opened) -> Response:
    """Check accesses on the keyholder's own node and seal its parts to the consumers."""
    tasks = decode_tasks(await read_body(request, MAX_BYTES))
    answers = await parts.releases.answer(tasks)
    return Response(encode_answers(answers), media_type="application/json")

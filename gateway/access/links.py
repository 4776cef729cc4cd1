"""Links that count: refused before anything is recorded, and renewed while an authorization lives.

A link lasts 30 days, an authorization perhaps a year, and the person's phone may be off. So the gateway
shows the identity authority the links that it has, in their last week, and is given new ones that say
the same. What keyholders would refuse is refused here before it costs the person a use.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.access.read_after_write import Freshness
from gateway.errors import GatewayError, LinkRefusedError, UnavailableError, UnknownError
from gateway.store.links import KeptLink, LinkStore, Tie
from ledger.api import SignedLink
from ledger.api.identity import LinkAnswer, RenewalBody
from ledger.chain.http_client import HttpAsker, HttpError
from ledger.crypto.signatures import recover
from ledger.errors import LedgerError, SigningError
from ledger.jsonio import UNREADABLE
from ledger.links import LINK_RENEWAL, MAX_LINK_AHEAD, find_link_fault
from ledger.model import LinkFault
from ledger.service.logs import get_logger
from ledger.typed_data import (
    Domain,
    digest,
)

_PAGE: Final = 500
_TRY_AGAIN: Final = 60.0
"""Seconds after which a link is shown again that was not renewed."""
_MAX_TRIED: Final = 10_000
_OK: Final = 200
_answers: Final = msgspec.json.Decoder(LinkAnswer)
_log = get_logger()


def link_missing() -> UnknownError:
    return UnknownError("link from the authorization's subject to this dataset", "link-missing")


class Linking:
    """Judges links as keyholders do, and has them renewed. For use in one event loop."""

    def __init__(
        self,
        store: LinkStore,
        chain: Freshness,
        domain: Domain,
        identity: HttpAsker | None,
        *,
        window: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts; without `identity` nothing is renewed.

        `window`: seconds after an access within which keyholders release; a link that ends before is over.
        """
        self._store = store
        self._chain = chain
        self._domain = domain
        self._identity = identity
        self._window = window
        self._clock = clock
        self._tried: OrderedDict[Tie, float] = OrderedDict()

    async def close(self) -> None:
        if self._identity is not None:
            await self._identity.close()

    async def verify(self, signed: SignedLink) -> KeptLink:
        """Return a link that somebody handed over, with its signer, if it counts.

        Raises:
            LinkRefusedError: It does not.
            UnavailableError: That cannot be told now.
        """
        try:
            signer = recover(digest(signed.link, self._domain), signed.signature)
        except SigningError as error:
            raise LinkRefusedError(LinkFault.FOREIGN) from error
        kept = KeptLink(signed, signer)
        fault = await self._fault(kept)
        if fault is not None:
            raise LinkRefusedError(fault)
        return kept

    async def keep(self, link: KeptLink, now: int) -> None:
        """Keep a link that was verified, unless a newer one is there; durable when it returns."""
        await self._store.put(link, now)

    async def require(self, tie: Tie, brought: SignedLink | None = None) -> None:
        """Check that there is a link that keyholders will take; get a new one if there is none.

        Raises:
            UnknownError: None was ever handed over.
            LinkRefusedError: None that counts is to be had.
            UnavailableError: That cannot be told now.
        """
        kept = (await self._store.find((tie,))).get(tie)
        fault = None if kept is None else await self._fault(kept)
        if kept is not None and fault is None:
            return
        refused: LinkRefusedError | None = None
        if brought is not None and tie == (brought.link.subject, brought.link.dataset):
            try:
                new = await self.verify(brought)
            except LinkRefusedError as error:  # an old one: perhaps ours can be renewed
                refused = error
            else:
                await self._store.put(new, int(self._clock()))
                return
        if kept is None:
            raise refused or link_missing()
        if fault is not None and not await self._renew(kept):
            raise LinkRefusedError(fault)

    async def run(self, interval: float) -> None:
        """Renew what is due, every so many seconds, until cancelled."""
        while True:
            try:
                await self.renew_due()
            except GatewayError as error:
                _log.warning("links not renewed", error=str(error))
            await asyncio.sleep(interval)

    async def renew_due(self) -> int:
        """Renew links in their last week of which an authorization lives; return how many.

        A link that is over, of which none lives, is forgotten.

        Raises:
            UnavailableError: Database or index cannot be asked.
        """
        now, renewed = self._chain.time, 0
        after: tuple[int, bytes, bytes] = (-1, b"", b"")
        while found := await self._store.ending(now + LINK_RENEWAL, after, _PAGE):
            for kept in found:
                link = kept.signed.link
                if await self._chain.is_granted(link.subject, link.dataset):
                    renewed += await self._renew(kept)
                elif link.expires_at <= now:
                    await self._store.forget(link)
            last = found[-1].signed.link
            after = (last.expires_at, last.subject, last.dataset)
        return renewed

    async def _fault(self, kept: KeptLink) -> LinkFault | None:
        link = kept.signed.link
        bounds = await self._chain.link_bounds(link.subject)
        now = self._chain.time  # not before: it may just have been waited for
        fault = find_link_fault(link, kept.signer, bounds, now)
        if fault is LinkFault.AHEAD and link.issued_at <= self._clock() + MAX_LINK_AHEAD:
            raise UnavailableError(
                "the newest block that is known here is older than the link", "index-behind"
            )
        if fault is None and link.expires_at <= now + self._window:
            return LinkFault.OVER
        return fault

    async def _renew(self, old: KeptLink) -> bool:
        """Get a new link that says the same; tell whether there is one now."""
        tie = (old.signed.link.subject, old.signed.link.dataset)
        if self._identity is None or not self._may_try(tie):
            return False
        shown = RenewalBody(link=old.signed.link, link_signature=old.signed.signature)
        try:
            answer = await self._identity.ask("POST", "/v1/links/renewals", shown.encode())
            if answer.status != _OK:
                _log.info("link not renewed", status=answer.status)
                return False
            new = await self.verify(_answers.decode(answer.body).signed)
        except (HttpError, LedgerError, *UNREADABLE, LinkRefusedError) as error:
            _log.warning("link not renewed", error=str(error))
            return False
        link = new.signed.link
        if (*tie, old.signed.link.owner) != (link.subject, link.dataset, link.owner):
            _log.warning("link not renewed", error="the new one says something else")
            return False
        await self._store.put(new, int(self._clock()))
        self._tried.pop(tie, None)
        return True

    def _may_try(self, tie: Tie) -> bool:
        now = time.monotonic()
        last = self._tried.pop(tie, None)
        if last is not None and now - last < _TRY_AGAIN:
            self._tried[tie] = last
            return False
        self._tried[tie] = now
        while len(self._tried) > _MAX_TRIED:
            self._tried.popitem(last=False)
        return True

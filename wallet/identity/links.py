"""Links: this authority's word on which owner a subject is in a dataset, for 30 days at a time.

Signed for the subject itself, and renewed for whoever shows one: it says nothing new to who has it
already, and a bank's consent of a year must not depend on a phone that is off. Renewed is only what is
still right: the subject and the owner are still one person's here, and the chain did not end the link.
"""

import msgspec

from ledger.deployment import Deployment
from ledger.errors import LedgerError
from ledger.exchange import SignedLink
from ledger.links import make_link
from ledger.signing import recover, sign
from ledger.typed_data import SubjectLink, digest
from wallet.identity.chain import ChainDesk
from wallet.identity.errors import LinkNotRenewedError, NotASubjectError
from wallet.identity.keys import AuthorityKeys
from wallet.identity.selection import SubjectState
from wallet.identity.store import Store
from wallet.identity.watching import Watcher


class _Times(msgspec.Struct, frozen=True):
    """The newest final block's, and up to which links are ended."""

    at: int
    links_from: int


class Links:
    """Signs links.

    Args:
        keys: Sign, and compute owners.
        deployment: In whose domain.
        store: Says whose a subject is.
        chain: Says which links were ended.
        watcher: Says what time it is there.
    """

    def __init__(
        self,
        keys: AuthorityKeys,
        deployment: Deployment,
        store: Store,
        chain: ChainDesk,
        watcher: Watcher,
    ) -> None:
        self._keys = keys
        self._domain = deployment.domain_of(SubjectLink)
        self._store = store
        self._chain = chain
        self._watcher = watcher

    async def issue(self, subject: bytes, person: int, dataset: bytes) -> SignedLink:
        """Sign which owner a person's subject is in a dataset.

        Raises:
            NotASubjectError: It is the person's no more.
            ChainUnavailableError: The node cannot be asked.
        """
        times = await self._times(subject)
        row = await self._store.subject(subject)
        if row is None or row.person != person:
            raise NotASubjectError("the subject id is another person's now")
        owner = await self._owner(person, dataset)
        return self._signed(subject, dataset, owner, times)

    async def verify(self, old: SignedLink) -> None:
        """Check that a link is this authority's, or of one that it follows.

        Raises:
            LinkNotRenewedError: It is not.
            ChainUnavailableError: The node cannot be asked.
        """
        if not await self._chain.follows(self._keys.address, self._signer(old)):
            raise LinkNotRenewedError("the link is not this authority's")

    async def renew(self, old: SignedLink) -> SignedLink:
        """Return a link that says the same as one of before (`verify`), also if that is over.

        Raises:
            LinkNotRenewedError: It is not right any more.
            ChainUnavailableError: The node cannot be asked.
        """
        link = old.link
        times = await self._times(link.subject)
        row = await self._store.subject(link.subject)
        if row is None or row.state is not SubjectState.REGISTERED:
            raise LinkNotRenewedError("the subject is not one of this authority")
        if await self._owner(row.person, link.dataset) != link.owner:
            raise LinkNotRenewedError("the subject and the owner do not belong together")
        if link.issued_at <= times.links_from:
            raise LinkNotRenewedError("the subject's links were ended after this one was issued")
        return self._signed(link.subject, link.dataset, link.owner, times)

    async def _owner(self, person: int, dataset: bytes) -> bytes:
        identity = (await self._store.person_by_id(person)).identity
        return self._keys.owners.owner(dataset, identity.kind, identity.number)

    async def _times(self, subject: bytes) -> _Times:
        """Return the times of a new link: read before whose the subject is, and never again.

        A correction says first whose the id is and ends the links after it. So a link that was signed for the
        one before bears a time before that end, and is ended with the others.
        """
        # By block times: keyholders judge by them, and a clock that is ahead makes no link that outlives
        # its end on chain.
        at = self._watcher.require().timestamp
        return _Times(at, await self._chain.links_from(subject))

    def _signed(self, subject: bytes, dataset: bytes, owner: bytes, times: _Times) -> SignedLink:
        link = make_link(subject, dataset, owner, at=times.at, links_from=times.links_from)
        return SignedLink(link, sign(digest(link, self._domain), self._keys.account))

    def _signer(self, signed: SignedLink) -> bytes:
        try:
            return recover(digest(signed.link, self._domain), signed.signature)
        except LedgerError as error:
            raise LinkNotRenewedError("the link is not signed") from error

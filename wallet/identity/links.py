"""Links: this authority's word on which owner a subject is in a dataset, for 30 days at a time.

Signed for the subject itself, and renewed for whoever shows one: it says nothing new to who has it
already, and a bank's consent of a year must not depend on a phone that is off. Renewed is only what is
still right: the subject and the owner are still one person's here, and the chain did not end the link.
"""

from ledger.deployment import Deployment
from ledger.errors import LedgerError
from ledger.exchange import SignedLink
from ledger.links import make_link
from ledger.signing import recover, sign
from ledger.typed_data import SubjectLink, digest
from wallet.identity.chain import ChainDesk
from wallet.identity.errors import LinkNotRenewedError
from wallet.identity.keys import AuthorityKeys
from wallet.identity.selection import SubjectState
from wallet.identity.store import Store
from wallet.identity.watching import Watcher


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
            ChainUnavailableError: The node cannot be asked.
        """
        owner = await self._owner(person, dataset)
        return await self._signed(subject, dataset, owner)

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
        row = await self._store.subject(link.subject)
        if row is None or row.state is not SubjectState.REGISTERED:
            raise LinkNotRenewedError("the subject is not one of this authority")
        if await self._owner(row.person, link.dataset) != link.owner:
            raise LinkNotRenewedError("the subject and the owner do not belong together")
        if link.issued_at <= await self._chain.links_from(link.subject):
            raise LinkNotRenewedError("the subject's links were ended after this one was issued")
        return await self._signed(link.subject, link.dataset, link.owner)

    async def _owner(self, person: int, dataset: bytes) -> bytes:
        identity = (await self._store.person_by_id(person)).identity
        return self._keys.owners.owner(dataset, identity.kind, identity.number)

    async def _signed(self, subject: bytes, dataset: bytes, owner: bytes) -> SignedLink:
        # By block times: keyholders judge by them, and a clock that is ahead makes no link that outlives
        # its end on chain.
        at = self._watcher.require().timestamp
        links_from = await self._chain.links_from(subject)
        link = make_link(subject, dataset, owner, at=at, links_from=links_from)
        return SignedLink(link, sign(digest(link, self._domain), self._keys.account))

    def _signer(self, signed: SignedLink) -> bytes:
        try:
            return recover(digest(signed.link, self._domain), signed.signature)
        except LedgerError as error:
            raise LinkNotRenewedError("the link is not signed") from error

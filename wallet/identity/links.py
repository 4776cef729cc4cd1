"""Links: this authority's word on which owner a subject is in a dataset, for 30 days at a time.

Signed for the subject itself, and renewed for whoever shows one: it says nothing new to who has it
already, and a bank's consent of a year must not depend on a phone that is off. Renewed is only what is
still right: the subject and the owner are still one person's here, and the chain did not end the link.
"""

from ledger.api import SignedLink
from ledger.api.identity import LinkAnswer
from ledger.chain.deployment import Deployment
from ledger.crypto.signatures import recover, sign
from ledger.errors import LedgerError
from ledger.links import make_link
from ledger.typed_data import SubjectLink, digest
from wallet.identity.chain import ChainDesk
from wallet.identity.errors import LINK_NOT_RENEWED, NOT_A_SUBJECT, IdentityError
from wallet.identity.keys import AuthorityKeys
from wallet.identity.store import Store, SubjectState
from wallet.identity.watch import Watcher


class Links:
    """Signs links; every method raises `ChainUnavailableError` if the node cannot be asked."""

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

    async def issue(self, subject: bytes, person: int, dataset: bytes) -> LinkAnswer:
        """Sign which owner a person's subject is in a dataset.

        Raises:
            IdentityError: It is the person's no more.
        """
        at, links_from = await self._times(subject)
        row = await self._store.subject(subject)
        if row is None or row.person != person:
            raise IdentityError(NOT_A_SUBJECT, "the subject id is another person's now")
        owner = await self._owner(person, dataset)
        return self._signed(make_link(subject, dataset, owner, at=at, links_from=links_from))

    async def verify(self, old: SignedLink) -> None:
        """Check that a link is this authority's, or of one that it follows.

        Raises:
            IdentityError: It is not.
        """
        try:
            signer = recover(digest(old.link, self._domain), old.signature)
        except LedgerError as error:
            raise IdentityError(LINK_NOT_RENEWED, "the link is not signed") from error
        if not await self._chain.follows(self._keys.address, signer):
            raise IdentityError(LINK_NOT_RENEWED, "the link is not this authority's")

    async def renew(self, old: SignedLink) -> LinkAnswer:
        """Return a link that says the same as one of before (`verify`), also if that is over.

        Raises:
            IdentityError: It is not right any more.
        """
        link = old.link
        subject, dataset, owner = link.subject, link.dataset, link.owner
        at, links_from = await self._times(subject)
        row = await self._store.subject(subject)
        if row is None or row.state is not SubjectState.REGISTERED:
            raise IdentityError(LINK_NOT_RENEWED, "the subject is not one of this authority")
        if await self._owner(row.person, dataset) != owner:
            detail = "the subject and the owner do not belong together"
            raise IdentityError(LINK_NOT_RENEWED, detail)
        if link.issued_at <= links_from:
            detail = "the subject's links were ended after this one was issued"
            raise IdentityError(LINK_NOT_RENEWED, detail)
        return self._signed(make_link(subject, dataset, owner, at=at, links_from=links_from))

    async def _owner(self, person: int, dataset: bytes) -> bytes:
        identity = (await self._store.person_by_id(person)).identity
        return self._keys.owners.owner(dataset, identity.kind, identity.number)

    async def _times(self, subject: bytes) -> tuple[int, int]:
        """Return the newest final block's time, and up to which second the subject's links are ended.

        Read before whose the subject is, and never again: a correction says first whose the id is and ends
        the links after it. So a link that was signed for the person before bears a time before that end,
        and is ended with the others.
        """
        # By block times: keyholders judge by them, and a clock that is ahead makes no link that outlives
        # its end on chain.
        at = self._watcher.require().timestamp
        return at, (await self._chain.subject(subject)).links_from

    def _signed(self, link: SubjectLink) -> LinkAnswer:
        signature = sign(digest(link, self._domain), self._keys.account)
        return LinkAnswer.of(SignedLink(link, signature))

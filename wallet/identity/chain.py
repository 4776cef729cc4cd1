"""What the identity authority asks of the chain, on its own node."""

from typing import TypeVar

from ledger import queries, views
from ledger.deployment import Deployment
from ledger.enumerations import Roles
from ledger.rpc import AsyncRpc, Call, RpcError
from ledger.views import SubjectState
from wallet.identity.errors import ChainUnavailableError, NotAdmittedError, UnknownOnChainError

T = TypeVar("T")


class ChainDesk:
    """Answers who may ask what.

    Args:
        rpc: The authority's node.
        deployment: Where the contracts are.
    """

    def __init__(self, rpc: AsyncRpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._contracts = deployment.contracts

    async def verify_consumer(self, address: bytes) -> bytes:
        """Return an active consumer.

        Raises:
            NotAdmittedError: It is none, or is restricted now.
            ChainUnavailableError: The node cannot be asked.
        """
        standing = await self._ask(views.standing_of(self._contracts, address))
        if not standing.active or Roles.CONSUMER not in standing.roles:
            raise NotAdmittedError("the signer is not an active consumer")
        if standing.restricted_until:
            newest = await self._ask(queries.block("latest"))
            if newest is None or standing.restricted_until > newest.timestamp:
                raise NotAdmittedError("the consumer is restricted now")
        return address

    async def verify_purpose(self, purpose: bytes) -> bytes:
        """Return a purpose for which something new may be asked.

        Raises:
            UnknownOnChainError: There is none, or it was retired.
            ChainUnavailableError: The node cannot be asked.
        """
        if not (await self._ask(views.bounds_of(self._contracts, purpose))).active:
            raise UnknownOnChainError("there is no such purpose, or it was retired")
        return purpose

    async def verify_provider(self, address: bytes, dataset: bytes) -> bytes:
        """Return the provider of a dataset.

        Raises:
            NotAdmittedError: It is another one's, or the provider is not active.
            ChainUnavailableError: The node cannot be asked.
        """
        found = await self._ask(views.dataset_of(self._contracts, dataset))
        standing = await self._ask(views.standing_of(self._contracts, address))
        active = standing.active and Roles.PROVIDER in standing.roles
        if found.provider != address or not active:
            raise NotAdmittedError("owners are for the dataset's provider")
        return address

    async def verify_dataset(self, dataset: bytes) -> bytes:
        """Return a dataset that is registered.

        Raises:
            UnknownOnChainError: It is not.
            ChainUnavailableError: The node cannot be asked.
        """
        if not any((await self._ask(views.dataset_of(self._contracts, dataset))).provider):
            raise UnknownOnChainError("there is no such dataset")
        return dataset

    async def is_identity_authority(self, address: bytes) -> bool:
        """Tell whether an address is an active identity authority.

        Raises:
            ChainUnavailableError: The node cannot be asked.
        """
        standing = await self._ask(views.standing_of(self._contracts, address))
        return standing.active and Roles.IDENTITY_AUTHORITY in standing.roles

    async def subject(self, subject: bytes) -> SubjectState:
        """Return a subject's state.

        Raises:
            ChainUnavailableError: The node cannot be asked.
        """
        return await self._ask(views.subject_of(self._contracts, subject))

    async def links_from(self, subject: bytes) -> int:
        """Return up to which second a subject's links are ended; zero for none.

        Raises:
            ChainUnavailableError: The node cannot be asked.
        """
        return (await self.subject(subject)).links_from

    async def follows(self, authority: bytes, former: bytes) -> bool:
        """Tell whether an authority is another one, or its successor on chain.

        Raises:
            ChainUnavailableError: The node cannot be asked.
        """
        if authority == former:
            return True
        return await self._ask(views.successor_of(self._contracts, former)) == authority

    async def _ask(self, call: Call[T]) -> T:
        try:
            return await self._rpc.send(call)
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

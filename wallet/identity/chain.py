"""What the identity authority asks of the chain, on its own node."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ledger import queries, views
from ledger.deployment import Deployment
from ledger.enumerations import Roles
from ledger.gathering import Gatherer
from ledger.rpc import AsyncRpc, Call, RpcError
from ledger.views import Standing, SubjectState
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
        self._standings: Gatherer[bytes, Standing] = Gatherer(self._ask_standings)
        self._successors: Gatherer[bytes, bytes] = Gatherer(self._ask_successors)

    async def verify_consumer(self, address: bytes) -> None:
        """Check that an address is an active consumer's.

        Raises:
            NotAdmittedError: It is none, or is restricted now.
            ChainUnavailableError: The node cannot be asked.
        """
        standing = await self._standing(address)
        if not standing.active or Roles.CONSUMER not in standing.roles:
            raise NotAdmittedError("the signer is not an active consumer")
        if standing.restricted_until:
            newest = await self._ask(queries.block("latest"))
            if newest is None or standing.restricted_until > newest.timestamp:
                raise NotAdmittedError("the consumer is restricted now")

    async def verify_purpose(self, purpose: bytes) -> bytes:
        """Return a purpose for which something new may be asked.

        Raises:
            UnknownOnChainError: There is none, or it was retired.
            ChainUnavailableError: The node cannot be asked.
        """
        if not (await self._ask(views.bounds_of(self._contracts, purpose))).active:
            raise UnknownOnChainError("there is no such purpose, or it was retired")
        return purpose

    async def verify_provider(self, dataset: bytes, address: bytes) -> None:
        """Check that an address is the provider's of a dataset.

        Raises:
            NotAdmittedError: It is another one's, or the provider is not active.
            ChainUnavailableError: The node cannot be asked.
        """
        refused = NotAdmittedError("owners are for the dataset's provider")
        standing = await self._standing(address)
        if not standing.active or Roles.PROVIDER not in standing.roles:
            raise refused
        if (await self._ask(views.dataset_of(self._contracts, dataset))).provider != address:
            raise refused

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
        try:  # shared as `_standing`: whoever draws keys can sign a link with each, as of a former authority
            return (await self._successors.get([former]))[former] == authority
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

    async def _standing(self, address: bytes) -> Standing:
        """Return what an address is, which anybody may be who signs a request.

        Those who ask at one time share a question to the node, so that strangers, however many there are, keep
        nobody waiting for longer than one such question takes.
        """
        try:
            return (await self._standings.get([address]))[address]
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

    async def _ask_standings(self, addresses: Sequence[bytes]) -> Mapping[bytes, Standing]:
        calls = [views.standing_of(self._contracts, address) for address in addresses]
        return dict(zip(addresses, await self._rpc.send_many(calls), strict=True))

    async def _ask_successors(self, addresses: Sequence[bytes]) -> Mapping[bytes, bytes]:
        calls = [views.successor_of(self._contracts, address) for address in addresses]
        return dict(zip(addresses, await self._rpc.send_many(calls), strict=True))

    async def _ask(self, call: Call[T]) -> T:
        try:
            return await self._rpc.send(call)
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

"""The identity authority's questions to the chain, on its own node."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ledger.chain import contract_reads, eth_methods
from ledger.chain.contract_reads import Standing, SubjectState
from ledger.chain.deployment import Deployment
from ledger.chain.rpc import AsyncRpc, Call, RpcError
from ledger.gathering import Gatherer
from ledger.model import Roles
from wallet.identity.errors import (
    NOT_ADMITTED,
    UNKNOWN_ON_CHAIN,
    ChainUnavailableError,
    IdentityError,
)

T = TypeVar("T")


class ChainDesk:
    """Answers who may ask what; every method raises `ChainUnavailableError` if the node cannot be asked."""

    def __init__(self, rpc: AsyncRpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._contracts = deployment.contracts
        # Those who ask at one time share a question to the node: strangers, who draw as many keys as
        # they like, keep nobody waiting for longer than one such question takes.
        self._standings: Gatherer[bytes, Standing] = Gatherer(self._ask_standings)
        self._successors: Gatherer[bytes, bytes] = Gatherer(self._ask_successors)

    async def verify_consumer(self, address: bytes) -> None:
        """Raises `IdentityError` unless an address is an active consumer's, not restricted now."""
        standing = await self._shared(self._standings, address)
        if not standing.active or Roles.CONSUMER not in standing.roles:
            raise IdentityError(NOT_ADMITTED, "the signer is not an active consumer")
        if standing.restricted_until:
            newest = await self._ask(eth_methods.block("latest"))
            if newest is None or standing.restricted_until > newest.timestamp:
                raise IdentityError(NOT_ADMITTED, "the consumer is restricted now")

    async def verify_purpose(self, purpose: bytes) -> None:
        """Raises `IdentityError` unless something new may be asked for a purpose."""
        if not (await self._ask(contract_reads.bounds_of(self._contracts, purpose))).active:
            raise IdentityError(UNKNOWN_ON_CHAIN, "there is no such purpose, or it was retired")

    async def verify_provider(self, dataset: bytes, address: bytes) -> None:
        """Raises `IdentityError` unless an address is the active provider's of a dataset."""
        standing = await self._shared(self._standings, address)
        admitted = standing.active and Roles.PROVIDER in standing.roles
        if not admitted or await self._provider_of(dataset) != address:
            raise IdentityError(NOT_ADMITTED, "owners are for the dataset's provider")

    async def verify_dataset(self, dataset: bytes) -> None:
        """Raises `IdentityError` unless a dataset is registered."""
        if not any(await self._provider_of(dataset)):
            raise IdentityError(UNKNOWN_ON_CHAIN, "there is no such dataset")

    async def subject(self, subject: bytes) -> SubjectState:
        return await self._ask(contract_reads.subject_of(self._contracts, subject))

    async def follows(self, authority: bytes, former: bytes) -> bool:
        """Tell whether an authority is another one, or its successor on chain."""
        return authority == former or authority == await self._shared(self._successors, former)

    async def _provider_of(self, dataset: bytes) -> bytes:
        return (await self._ask(contract_reads.dataset_of(self._contracts, dataset))).provider

    async def _shared(self, gatherer: Gatherer[bytes, T], address: bytes) -> T:
        try:
            return (await gatherer.get([address]))[address]
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

    async def _ask_standings(self, addresses: Sequence[bytes]) -> Mapping[bytes, Standing]:
        calls = [contract_reads.standing_of(self._contracts, address) for address in addresses]
        return dict(zip(addresses, await self._rpc.send_many(calls), strict=True))

    async def _ask_successors(self, addresses: Sequence[bytes]) -> Mapping[bytes, bytes]:
        calls = [contract_reads.successor_of(self._contracts, address) for address in addresses]
        return dict(zip(addresses, await self._rpc.send_many(calls), strict=True))

    async def _ask(self, call: Call[T]) -> T:
        try:
            return await self._rpc.send(call)
        except RpcError as error:
            raise ChainUnavailableError(str(error)) from error

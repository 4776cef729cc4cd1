"""A party: its city, its directory, its keys and its client, each opened when it is first needed.

A flow is written once. Of a `Party` it is an ordinary method; of an `AsyncParty` it is awaited.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, overload

import msgspec

from ledger.chain.contract_calls import ContractCall
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc, Rpc
from ledger.chain.transactions import AS_SUGGESTED, FeeRule
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.keyfile import STANDARD_SCRYPT_N
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import Mined, transact
from wallet.client.transports import AsyncClient, Client, Endpoints
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password, parse_source, read_password
from wallet.supervisor.services import ACCOUNT, Layout, read_addresses

P = ParamSpec("P")
S = TypeVar("S", bound="Member")
T = TypeVar("T")

ENCRYPTION: Final = "encryption"
"""Name of the entry with a party's encryption key."""


class City(msgspec.Struct, frozen=True):
    """The contracts that count, and where the services are.

    Attributes:
        deployment: its contracts are checked at the node first, if there is one.
        gateway: base address, as http://127.0.0.1:8700.
        identity: of the identity authority.
        node: of the party's own node; without one less can be checked (`Opened.unchecked`).
        keyholders: base addresses; a provider needs them.
        finality: when a block of the node counts as final.
        fee: offered for the party's transactions.
    """

    deployment: Deployment
    gateway: str
    identity: str = ""
    node: str = ""
    keyholders: tuple[str, ...] = ()
    finality: Finality = Finality.depth(0)
    fee: FeeRule = AS_SUGGESTED

    @classmethod
    def read(cls, directory: Path | str) -> Self:
        """Read what `quancheng up DIRECTORY` wrote.

        Raises:
            SupervisorError, DeploymentError: it cannot be read.
        """
        layout = Layout(Path(directory))
        at = read_addresses(layout.addresses)
        deployment = read_deployment(layout.deployment)
        return cls(deployment, at.gateway, at.identity, at.node, at.keyholders)


class Member:
    """A party with its directory, laid out as the command line's `--home` is.

    keystore/          account.json, encryption.json, a person's keys; each under the password
    wallet.json        a person's subject ids
    requests.sqlite    a consumer's signed requests
    cases/             a consumer's consent requests and what was granted
    books/             a provider's books of what is published

    Each is opened when it is first needed.
    """

    def __init__(
        self,
        city: Callable[[], City],
        home: Path,
        password: Callable[[], Password],
        *,
        account: str = ACCOUNT,
        scrypt_n: int = STANDARD_SCRYPT_N,
    ) -> None:
        """Take a city and a directory.

        Args:
            city: returns contracts and addresses; called when they are first needed.
            home: has `keystore/` and what the party keeps.
            password: returns that of the keystore; called when it is first needed.
            account: the keystore's entry that signs.
            scrypt_n: cost of opening new entries.
        """
        self._read_city = city
        self.home = home
        self._read_password = password
        self._account = account
        self._scrypt_n = scrypt_n
        self.stack = ExitStack()

    @classmethod
    def open(cls, city: City | Path | str, home: Path | str, password: Password | str) -> Self:
        """Take a party's directory; use the result in a `with` or `async with` block.

        Args:
            city: or the directory of `quancheng up`.
            home: has `keystore/` and what the party keeps.
            password: of the keystore, or where it comes from: `prompt`, `fd:3`, `env:NAME`.

        Raises:
            WalletError, LedgerError: the city or the password cannot be read.
        """
        place = city if isinstance(city, City) else City.read(city)
        known = read_password(parse_source(password)) if isinstance(password, str) else password
        return cls(lambda: place, Path(home).absolute(), lambda: known)

    @cached_property
    def city(self) -> City:
        """The contracts, and where the services are."""
        return self._read_city()

    @cached_property
    def ledger(self) -> ChainAccess:
        """The contracts, and how to get to them."""
        city = self.city
        return ChainAccess(city.deployment, bool(city.node), city.finality, fee=city.fee)

    @cached_property
    def keystore(self) -> Keystore:
        """The secrets."""
        return Keystore(self.home / "keystore", scrypt_n=self._scrypt_n)

    @cached_property
    def password(self) -> Password:
        """The keystore's."""
        return self._read_password()

    @cached_property
    def key(self) -> PartyKey:
        """The account."""
        return PartyKey(self.keystore.load(self._account, Kind.ETHEREUM_KEY, self.password))

    @cached_property
    def encryption_key(self) -> DecryptionKey:
        """The keystore's entry `encryption`."""
        secret = self.keystore.load(ENCRYPTION, Kind.ENCRYPTION_KEY, self.password)
        return DecryptionKey(secret)

    @property
    def address(self) -> bytes:
        """The account's, 20 bytes."""
        return self.key.address

    def unlock(self) -> None:
        """Open the keys, which takes a second of computing each."""
        _ = self.key

    def asker(self) -> PartyKey | None:
        """Return the key that signs requests."""
        return self.key

    async def send_call(self, call: ContractCall) -> Mined:
        return await transact(self.ledger, self.key, call)

    def endpoints(self) -> Endpoints:
        return Endpoints(self.city.gateway, self.city.identity, self.city.node)


class Party(Member):
    """A party in ordinary code; its block may be shared between threads, except a consumer's."""

    @cached_property
    def client(self) -> Client:
        """Asks as the party."""
        chain_id = self.city.deployment.chain_id
        client = Client(self.endpoints(), key=self.asker, chain_id=chain_id)
        return self.stack.enter_context(client)

    @cached_property
    def ledger(self) -> ChainAccess:
        """The contracts, and how to get to them; a node of one's own is checked first.

        Raises:
            DeploymentError: the node has another chain or other contracts.
        """
        if self.city.node:
            with Rpc(self.city.node) as rpc:
                rpc.run(verify_deployment, self.city.deployment)
        return super().ledger

    def __enter__(self) -> Self:
        _ = self.ledger
        self.unlock()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stack.close()

    def run(self, flow: Awaitable[T]) -> T:
        """Carry out a flow of `wallet` that has no method here."""
        try:
            client = self.client
        except BaseException:
            if isinstance(flow, Coroutine):
                flow.close()  # else Python complains that nobody awaited it
            raise
        return client.run(flow)


class AsyncParty(Member):
    """A party in asyncio."""

    client: AsyncClient

    async def __aenter__(self) -> Self:
        if self.city.node:
            async with AsyncRpc(self.city.node) as rpc:
                await verify_deployment(rpc, self.city.deployment)
        await asyncio.to_thread(self.unlock)
        chain_id = self.city.deployment.chain_id
        self.client = AsyncClient(self.endpoints(), key=self.asker, chain_id=chain_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stack.close()
        await self.client.close()

    async def run(self, flow: Awaitable[T]) -> T:
        """Carry out a flow of `wallet` that has no method here."""
        return await self.client.run(flow)


class Method(Generic[S, P, T]):
    """A flow as a method: a `Party` returns its result, an `AsyncParty` an awaitable of it."""

    def __init__(self, flow: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> None:
        self.__doc__ = flow.__doc__
        self._flow = flow

    @overload
    def __get__(self, party: None, kind: type) -> Self: ...
    @overload
    def __get__(self, party: Party, kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, party: AsyncParty, kind: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, party: Any, kind: type) -> Any:
        if party is None:
            return self

        def carry_out(*arguments: P.args, **options: P.kwargs) -> Any:
            return party.run(self._flow(party, *arguments, **options))

        return update_wrapper(carry_out, self._flow)

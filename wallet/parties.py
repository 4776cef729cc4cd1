"""The face of the SDK: each kind of party by what it does, in ordinary code and in asyncio.

A flow is written once. Of a `Party` it is an ordinary method; of an `AsyncParty` it is awaited.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import msgspec

from ledger.api.consent import new_consent_request
from ledger.api.supervision import (
    AccessesAnswer,
    AlertShown,
    ApplicationShown,
    AuthorizationShown,
    HistoryEntry,
)
from ledger.chain import contract_calls
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.events.identifiers import agreement_id, dataset_id
from ledger.chain.finality import Finality
from ledger.chain.rpc import AsyncRpc, Rpc
from ledger.chain.transactions import AS_SUGGESTED, FeeRule
from ledger.crypto.hpke import DecryptionKey
from ledger.hexstr import from_hex, to_hex
from ledger.replay.journal_check import Journal
from ledger.replay.report import ReplayReport
from ledger.replay.sources import replay_node
from wallet.citizen import acts as signed_acts
from wallet.citizen import history as past
from wallet.citizen.enrolment import NewId, enrol_person
from wallet.citizen.identities import Identities, Identity, PersonKeys, SignerKind
from wallet.citizen.proposal import Less, Proposal, Unspeakable, propose, propose_each
from wallet.client import datasets, supervision
from wallet.client.decryption import choose_fields
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.identity import Person
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.requests import RequestBook
from wallet.client.retry import with_retries
from wallet.client.transactions import Mined, transact
from wallet.client.transports import AsyncClient, Client, Endpoints
from wallet.client.verification import ALL, Basis
from wallet.consumer import access, consent
from wallet.consumer import agreements as applying
from wallet.consumer.access import Used
from wallet.consumer.cases import Case, Cases
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password, parse_source, read_password
from wallet.provider import agreements as deciding
from wallet.provider.description import read_description
from wallet.provider.published_state import PublishedState
from wallet.provider.publisher import Options, Publication, Publisher
from wallet.provider.services import RemoteServices
from wallet.regulator.journals import fetch_journal
from wallet.supervisor.services import Layout, read_addresses

P = ParamSpec("P")
S = TypeVar("S", bound="_Member")
T = TypeVar("T")


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


class _Member:
    """A party with its directory, laid out as the command line's `--home` is."""

    def __init__(self, city: City, home: Path, password: Password) -> None:
        self.city = city
        self.home = home
        self.ledger = ChainAccess(city.deployment, bool(city.node), city.finality, fee=city.fee)
        self.keystore = Keystore(home / "keystore")
        self._password = password
        self._stack = ExitStack()

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
        if isinstance(password, str):
            password = read_password(parse_source(password))
        return cls(place, Path(home).absolute(), password)

    @cached_property
    def key(self) -> PartyKey:
        """The account: the keystore's entry `account`."""
        return PartyKey(self.keystore.load("account", Kind.ETHEREUM_KEY, self._password))

    @cached_property
    def encryption_key(self) -> DecryptionKey:
        """The keystore's entry `encryption`."""
        secret = self.keystore.load("encryption", Kind.ENCRYPTION_KEY, self._password)
        return DecryptionKey(secret)

    @property
    def address(self) -> bytes:
        """The account's, 20 bytes."""
        return self.key.address

    def _unlock(self) -> PartyKey | None:
        """Open the keys, which takes a second of computing each; return the key that signs requests."""
        return self.key

    def _endpoints(self) -> Endpoints:
        return Endpoints(self.city.gateway, self.city.identity, self.city.node)


class Party(_Member):
    """A party in ordinary code; its block may be shared between threads, except a consumer's."""

    client: Client

    def __enter__(self) -> Self:
        if self.city.node:
            with Rpc(self.city.node) as rpc:
                rpc.run(verify_deployment, self.city.deployment)
        chain_id = self.city.deployment.chain_id
        self.client = Client(self._endpoints(), key=self._unlock(), chain_id=chain_id)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.client.close()

    def run(self, flow: Coroutine[Any, Any, T]) -> T:
        """Carry out a flow of `wallet` that has no method here."""
        return self.client.run(flow)


class AsyncParty(_Member):
    """A party in asyncio."""

    client: AsyncClient

    async def __aenter__(self) -> Self:
        if self.city.node:
            async with AsyncRpc(self.city.node) as rpc:
                await verify_deployment(rpc, self.city.deployment)
        key = await asyncio.to_thread(self._unlock)
        chain_id = self.city.deployment.chain_id
        self.client = AsyncClient(self._endpoints(), key=key, chain_id=chain_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()
        await self.client.close()

    async def run(self, flow: Coroutine[Any, Any, T]) -> T:
        """Carry out a flow of `wallet` that has no method here."""
        return await self.client.run(flow)


class _Method(Generic[S, P, T]):
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


class _Consumer(_Member):
    """A bank, an insurer, another department."""

    def _unlock(self) -> PartyKey:
        _ = self.encryption_key
        return self.key

    @cached_property
    def requests(self) -> RequestBook:
        """The signed requests, and the keys of their answers; closed with the block."""
        return self._stack.enter_context(RequestBook(self.home / "requests.sqlite"))

    @property
    def cases(self) -> Cases:
        """Consent requests and what was granted."""
        return Cases(self.home / "cases")

    def note_stored(self, used: Used) -> None:
        """Note that what was opened is stored elsewhere: the key of the answer is destroyed."""
        self.requests.note_stored([used.request.id])

    @_Method
    async def apply(
        self, dataset: bytes, purpose: bytes, fields: Sequence[str], justification: str
    ) -> bytes:
        """Apply for a dataset; return the application's id. The justification is public for ever."""
        schema = await datasets.schema(self.ledger, dataset)
        mask = choose_fields(schema.names, fields)
        applied = await applying.apply(
            self.ledger,
            self.key,
            dataset=dataset,
            purpose=purpose,
            fields=mask,
            justification=justification,
        )
        return applied.application

    @_Method
    async def sign_confidentiality(self, application: bytes, text: str) -> Mined:
        """Sign the confidentiality agreement of an application."""
        return await applying.sign_confidentiality(self.ledger, self.key, application, text)

    @_Method
    async def name_recorder(self, recorder: bytes) -> Mined:
        """Let a gateway's recorder record this consumer's requests."""
        return await transact(self.ledger, self.key, contract_calls.name_recorder(recorder))

    @_Method
    async def ask(
        self,
        person: Person | str,
        dataset: bytes,
        purpose: bytes,
        fields: Sequence[str],
        *,
        case_number: str,
        expires_at: int,
        max_uses: int = 1,
        min_interval: int = 0,
        item: bytes = ALL,
        message: str = "",
    ) -> Case:
        """Send a consent request; it is kept in `cases`.

        Args:
            person: by name and number, or the handle that the person handed over.
            dataset: 32 bytes.
            purpose: 32 bytes.
            fields: names (whole, or one half of them), or numbers in digits.
            case_number: the consumer's own.
            expires_at: end of the authorization, seconds since 1970.
            max_uses: how often.
            min_interval: seconds between two uses.
            item: root of the one record wanted.
            message: for the person.

        Raises:
            ProblemError: the person is not enrolled, or it is outside the purpose's bounds.
        """
        schema = await datasets.schema(self.ledger, dataset)
        ask = new_consent_request(
            consumer=self.address,
            dataset=dataset,
            purpose=purpose,
            fields=choose_fields(schema.names, fields),
            case_number=case_number,
            expires_at=expires_at,
            max_uses=max_uses,
            min_interval=min_interval,
            item=item,
            message=message,
        )
        if isinstance(person, str):
            case = await consent.ask_handle(person, ask)
        else:
            case = await consent.ask_customer(person, ask)
        self.cases.put(case)
        return case

    @_Method
    async def wait(self, case: Case, seconds: float = 3600.0) -> Case:
        """Wait for the person's answer; return the case with what was granted, checked.

        Raises:
            ClientError (NOT_ANSWERED): no answer in this time.
            GrantMismatchError: what came back is not what was asked for.
        """
        answered = await consent.wait(self.ledger, case, seconds)
        self.cases.put(answered)
        return answered

    @_Method
    async def use(self, case: Case, *, another_use: bool = False) -> Used:
        """Use what a person granted once; open the answer and check it.

        Args:
            case: with what was granted.
            another_use: go on although an earlier use was recorded and never handed out.

        Raises:
            DeniedError: denied, on chain.
            ProblemError: nothing is released.
            VerificationError: something is not what it is said to be.
            ClientError (ANOTHER_USE): an earlier use was lost.
        """
        basis, granted = case.authorization_id, case.authorization
        if basis is None or granted is None:
            raise ClientError(
                f"nothing was granted for request {case.request}", ErrorKind.NOT_FOUND_HERE
            )
        return await self._use(case.basis, basis, granted.fields, another_use=another_use)

    @_Method
    async def use_dataset(
        self,
        dataset: bytes,
        fields: Sequence[str],
        purpose: bytes | None = None,
        *,
        item: bytes = ALL,
        another_use: bool = False,
    ) -> Used:
        """Use an agreement for a purpose, or without a purpose an open dataset; see `use`."""
        schema = await datasets.schema(self.ledger, dataset)
        basis = dataset if purpose is None else agreement_id(self.address, dataset, purpose)
        mask = choose_fields(schema.names, fields)
        return await self._use(Basis(), basis, mask, item, another_use=another_use)

    async def _use(
        self, known: Basis, basis: bytes, fields: int, item: bytes = ALL, *, another_use: bool
    ) -> Used:
        (request,) = access.prepare(
            self.ledger,
            self.key,
            self.encryption_key.encryption_key,
            self.requests,
            basis,
            fields,
            item=item,
            another_use=another_use,
        )
        return await access.access(self.ledger, self.encryption_key, self.requests, request, known)


class Consumer(_Consumer, Party):
    """A consumer in ordinary code."""


class AsyncConsumer(_Consumer, AsyncParty):
    """A consumer in asyncio."""


class _Provider(_Member):
    """A department."""

    @_Method
    async def describe(self, description: Path | str, code: str | None = None) -> bytes:
        """Register a dataset as its description file says; return its id.

        Raises:
            RefusedError: the contract refuses.
            ClientError (AMBIGUOUS_NAME): its title would be taken for another's.
        """
        terms = read_description(Path(description), code).terms()
        return (await deciding.register_dataset(self.ledger, self.key, terms)).dataset

    @_Method
    async def applications(self) -> tuple[ApplicationShown, ...]:
        """Return who applies for the provider's datasets."""
        return await deciding.applications_to_decide(self.ledger)

    @_Method
    async def approve(
        self, application: ApplicationShown, expires_at: int, fields: int | None = None
    ) -> Mined:
        """Approve an application for all fields that it asks for, or for a bitmap of fewer."""
        mask = int(application.fields) if fields is None else fields
        identifier = from_hex(application.application, 32)
        return await deciding.approve(self.ledger, self.key, identifier, mask, expires_at)

    @_Method
    async def decline(self, application: ApplicationShown, reason: str) -> Mined:
        """Decline an application; the reason is public for ever."""
        identifier = from_hex(application.application, 32)
        return await deciding.decline(self.ledger, self.key, identifier, reason)

    @_Method
    async def erase(self, dataset: bytes, number: int) -> Mined:
        """Erase a record of the newest version for good.

        Raises:
            ClientError (NOT_FOUND_HERE): the book has no such record.
        """
        with PublishedState(self.home / "books" / f"{dataset.hex()}.book", dataset) as book:
            known, version = book.item(number), book.version
        if known is None or known.root is None:
            raise ClientError(
                f"record {number} is not in the newest version", ErrorKind.NOT_FOUND_HERE
            )
        return await deciding.erase(self.ledger, self.key, dataset, number, known.root, version)

    @_Method
    async def accesses(self, dataset: bytes) -> AccessesAnswer:
        """Return who used a dataset, the newest first, by the gateway's word."""
        return await with_retries(supervision.dataset_accesses(dataset))

    def _publish(
        self,
        client: Client,
        file: Path,
        description: Path,
        code: str | None,
        options: Options | None,
    ) -> Publication:
        described = read_description(description, code)
        dataset = dataset_id(self.address, described.code.encode())
        keyholders = self.city.keyholders
        services = RemoteServices(client, self.ledger, self.encryption_key, keyholders)
        books = self.home / "books"
        return Publisher(described, dataset, services, books, lambda *_: None).publish(
            file, options or Options()
        )


class Provider(_Provider, Party):
    """A provider in ordinary code."""

    def publish(
        self,
        file: Path | str,
        description: Path | str,
        code: str | None = None,
        options: Options | None = None,
    ) -> Publication:
        """Check, encrypt, upload and publish a file; interrupted, it goes on when called again.

        Raises:
            QualityError: the file has defects; `report` lists them.
            ProviderError, ClientError: it could not be published.
        """
        return self._publish(self.client, Path(file), Path(description), code, options)


class AsyncProvider(_Provider, AsyncParty):
    """A provider in asyncio."""

    async def publish(
        self,
        file: Path | str,
        description: Path | str,
        code: str | None = None,
        options: Options | None = None,
    ) -> Publication:
        """Publish a file in a thread of its own; see `Provider.publish`."""

        def work() -> Publication:
            chain_id = self.city.deployment.chain_id
            with Client(self._endpoints(), key=self.key, chain_id=chain_id) as client:
                return self._publish(client, Path(file), Path(description), code, options)

        return await asyncio.to_thread(work)


class _Citizen(_Member):
    """A person, or an enterprise, with one key for each subject id."""

    def _unlock(self) -> None:
        for identity in self.keys.identities.active:
            self.keys.signer(identity)

    @cached_property
    def keys(self) -> PersonKeys:
        """The keys of the wallet's ids."""
        identities = Identities(self.home / "wallet.json")
        return PersonKeys(self.keystore, self._password, identities, self.ledger)

    @_Method
    async def enrol(
        self, person: Person, code: str, count: int = 1, kind: SignerKind = SignerKind.ACCOUNT
    ) -> tuple[Identity, ...]:
        """Draw keys and get subject ids for them, with the code from the counter.

        Raises:
            ProblemError: the identity authority refuses.
            ClientError (NOT_ANSWERED): the ids are not on chain yet.
        """
        drawn = [self.keys.draw(kind) for _ in range(count)]
        ids = [NewId(self.keys.signer(identity)) for identity in drawn]
        return self.keys.note_subjects(await enrol_person(self.ledger, person, code, ids))

    @_Method
    async def inbox(self) -> tuple[Proposal | Unspeakable, ...]:
        """Return for each consent request what would be signed: the exact statement and the fields."""
        waiting = await past.inbox(self.keys.signers())
        return await propose_each(self.ledger, waiting, int(time.time()))

    @_Method
    async def grant(
        self, proposal: Proposal, less: Less | None = None
    ) -> signed_acts.GrantedAuthorization:
        """Sign what was shown, or less of it, and bring it on chain.

        Raises:
            RefusedError: the contract refuses.
            ProposalError: `less` is more, or outside the purpose's bounds.
        """
        if less is not None:
            proposal = await propose(self.ledger, proposal.asked, int(time.time()), less)
        signer = self.keys.signer(self.keys.identities.of_subject(proposal.asked.subject))
        return await signed_acts.grant(self.city.deployment, signer, proposal)

    @_Method
    async def refuse(self, proposal: Proposal | Unspeakable, reason: str = "") -> None:
        """Refuse a consent request; nothing gets on chain."""
        signer = self.keys.signer(self.keys.identities.of_subject(proposal.asked.subject))
        await signed_acts.refuse(signer, proposal.asked.request, reason)

    @_Method
    async def revoke(self, authorization: bytes) -> Mined:
        """End an authorization: from the next block on it opens nothing.

        Raises:
            ClientError (NOT_FOUND_HERE): none of the wallet's ids granted it.
        """
        for granted in await past.authorizations(self.keys.signers()):
            if granted.id == to_hex(authorization):
                identity = self.keys.identities.of_subject(from_hex(granted.subject, 32))
                what = signed_acts.revocation(identity.subject_id, authorization)
                signer = self.keys.signer(identity)
                return await signed_acts.act(self.city.deployment, signer, what)
        raise ClientError("none of the wallet's ids granted this", ErrorKind.NOT_FOUND_HERE)

    @_Method
    async def authorizations(self) -> tuple[AuthorizationShown, ...]:
        """Return what was granted, the newest first."""
        return await past.authorizations(self.keys.signers())

    @_Method
    async def history(self) -> tuple[HistoryEntry, ...]:
        """Return what happened around all ids, the newest first, by the gateway's word."""
        return await past.history(self.keys.signers())


class Citizen(_Citizen, Party):
    """A person in ordinary code."""


class AsyncCitizen(_Citizen, AsyncParty):
    """A person in asyncio."""


class _Regulator(_Member):
    """A regulator, with a node of its own."""

    @_Method
    async def trace(self, /, **about: bytes | str) -> dict[str, Any]:
        """Return everything about a `subject`, `authorization`, `consumer`, `dataset` or `case`.

        It is the gateway's word; `replay` needs nobody's.
        """
        return await with_retries(supervision.trace(**about))

    @_Method
    async def alerts(self) -> tuple[AlertShown, ...]:
        """Return what supervision noticed."""
        return await with_retries(supervision.alerts())

    @_Method
    async def fetch_journal(self, path: Path) -> int:
        """Fetch the gateway's release journal into a file; return the number of its lines."""
        return await fetch_journal(path)

    @_Method
    async def restrict(self, consumer: bytes, until: int, reason: str) -> Mined:
        """Deny every access of a consumer until a time; the reason is public for ever."""
        return await transact(
            self.ledger, self.key, contract_calls.restrict(consumer, until, reason)
        )

    @_Method
    async def lift(self, consumer: bytes, reason: str) -> Mined:
        """End a restriction before its time."""
        return await transact(self.ledger, self.key, contract_calls.lift(consumer, reason))

    def _replay(self, journals: Sequence[Journal]) -> ReplayReport:
        if not self.city.node:
            raise ClientError("a replay needs a node of one's own, and none was named")
        deployment, finality = self.city.deployment, self.city.finality
        with Rpc(self.city.node) as rpc:
            return replay_node(rpc, deployment, journals, finality=finality)


class Regulator(_Regulator, Party):
    """A regulator in ordinary code."""

    def replay(self, *journals: Journal) -> ReplayReport:
        """Read every event, decide every access again, and compare with the journals."""
        return self._replay(journals)


class AsyncRegulator(_Regulator, AsyncParty):
    """A regulator in asyncio."""

    async def replay(self, *journals: Journal) -> ReplayReport:
        """Replay in a thread of its own; see `Regulator.replay`."""
        return await asyncio.to_thread(self._replay, journals)

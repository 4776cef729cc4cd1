"""The face of the SDK: each kind of party by what it does, in ordinary code and in asyncio."""

import asyncio
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ledger.api.consent import new_consent_request
from ledger.api.supervision import (
    AccessesAnswer,
    AlertShown,
    ApplicationShown,
    AuthorizationShown,
    HistoryEntry,
)
from ledger.chain import contract_calls
from ledger.chain.events.identifiers import agreement_id, dataset_id
from ledger.chain.rpc import Rpc
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
from wallet.client.consent_requests import Asked
from wallet.client.decryption import choose_fields
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.identity import Person
from wallet.client.relays import Act
from wallet.client.requests import RequestBook
from wallet.client.retry import with_retries
from wallet.client.signers import SubjectSigner
from wallet.client.transactions import Mined
from wallet.client.transports import Client
from wallet.client.verification import ALL, Basis
from wallet.consumer import access, consent
from wallet.consumer import agreements as applying
from wallet.consumer.access import Used
from wallet.consumer.agreements import Applied
from wallet.consumer.cases import Case, Cases
from wallet.party import AsyncParty, Member, Method, Party
from wallet.provider import agreements as deciding
from wallet.provider.description import Description, read_description
from wallet.provider.published_state import PublishedState
from wallet.provider.publisher import Options, Progress, Publication, Publisher
from wallet.provider.services import RemoteServices
from wallet.regulator.journals import fetch_journal


class _Consumer(Member):
    """A bank, an insurer, another department."""

    def unlock(self) -> None:
        _ = self.key, self.encryption_key

    @cached_property
    def requests(self) -> RequestBook:
        """The signed requests, and the keys of their answers; closed with the block."""
        return self.stack.enter_context(RequestBook(self.home / "requests.sqlite"))

    @property
    def cases(self) -> Cases:
        """Consent requests and what was granted."""
        return Cases(self.home / "cases")

    def note_stored(self, used: Used) -> None:
        """Note that what was opened is stored elsewhere: the key of the answer is destroyed."""
        self.requests.note_stored([used.request.id])

    @Method
    async def apply(
        self, dataset: bytes, purpose: bytes, fields: Sequence[str] | int, justification: str
    ) -> Applied:
        """Apply for a dataset. The justification is public for ever."""
        return await applying.apply(
            self.ledger,
            self.key,
            dataset=dataset,
            purpose=purpose,
            fields=await self._mask(dataset, fields),
            justification=justification,
        )

    @Method
    async def sign_confidentiality(self, application: bytes, text: str) -> Mined:
        """Sign the confidentiality agreement of an application."""
        return await applying.sign_confidentiality(self.ledger, self.key, application, text)

    @Method
    async def name_recorder(self, recorder: bytes) -> Mined:
        """Let a gateway's recorder record this consumer's requests."""
        return await self.send_call(contract_calls.name_recorder(recorder))

    @Method
    async def dismiss_recorder(self, recorder: bytes) -> Mined:
        """Take that back."""
        return await self.send_call(contract_calls.dismiss_recorder(recorder))

    @Method
    async def appeal(self, statement: str) -> Mined:
        """Appeal against a restriction; the statement is public for ever."""
        return await self.send_call(contract_calls.appeal(statement))

    @Method
    async def ask(
        self,
        person: Person | str,
        dataset: bytes,
        purpose: bytes,
        fields: Sequence[str] | int,
        *,
        case_number: str,
        expires_at: int,
        max_uses: int = 1,
        min_interval: int = 0,
        deadline: int | None = None,
        item: bytes = ALL,
        message: str = "",
    ) -> Case:
        """Send a consent request; it is kept in `cases`.

        Args:
            person: by name and number, or the handle that the person handed over.
            dataset: 32 bytes.
            purpose: 32 bytes.
            fields: names (whole, or one half of them), or numbers in digits; or a bitmap.
            case_number: the consumer's own.
            expires_at: end of the authorization, seconds since 1970.
            max_uses: how often.
            min_interval: seconds between two uses.
            deadline: until when the person may answer, seconds since 1970; a week from now if it is None.
            item: root of the one record wanted.
            message: for the person.

        Raises:
            ProblemError: the person is not enrolled, or it is outside the purpose's bounds.
        """
        ask = new_consent_request(
            consumer=self.address,
            dataset=dataset,
            purpose=purpose,
            fields=await self._mask(dataset, fields),
            case_number=case_number,
            expires_at=expires_at,
            max_uses=max_uses,
            min_interval=min_interval,
            deadline=deadline,
            item=item,
            message=message,
        )
        if isinstance(person, str):
            case = await consent.ask_handle(person, ask)
        else:
            case = await consent.ask_customer(person, ask)
        self.cases.put(case)
        return case

    @Method
    async def wait(self, case: Case, seconds: float = 3600.0) -> Case:
        """Wait for the person's answer; return the case with what was granted, checked.

        Raises:
            ClientError (NOT_ANSWERED): no answer in this time.
            GrantMismatchError: what came back is not what was asked for.
        """
        answered = await consent.wait(self.ledger, case, seconds)
        self.cases.put(answered)
        return answered

    @Method
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
        return await self._use(basis, granted.fields, known=case.basis, another_use=another_use)

    @Method
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
        basis = dataset if purpose is None else agreement_id(self.address, dataset, purpose)
        mask = await self._mask(dataset, fields)
        return await self._use(basis, mask, item=item, another_use=another_use)

    @Method
    async def use_basis(
        self,
        basis: bytes,
        fields: int,
        *,
        item: bytes = ALL,
        known: Basis | None = None,
        another_use: bool = False,
    ) -> Used:
        """Use an authorization, an agreement, an order or a dataset by its id; see `use`."""
        return await self._use(basis, fields, item=item, known=known, another_use=another_use)

    async def _use(
        self,
        basis: bytes,
        fields: int,
        *,
        item: bytes = ALL,
        known: Basis | None = None,
        another_use: bool = False,
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

    async def _mask(self, dataset: bytes, fields: Sequence[str] | int) -> int:
        if isinstance(fields, int):
            return fields
        return choose_fields((await datasets.schema(self.ledger, dataset)).names, fields)


class Consumer(_Consumer, Party):
    """A consumer in ordinary code."""


class AsyncConsumer(_Consumer, AsyncParty):
    """A consumer in asyncio."""


class _Provider(Member):
    """A department."""

    @Method
    async def describe(self, description: Path | str, code: str | None = None) -> bytes:
        """Register a dataset as its description file says; return its id.

        Raises:
            RefusedError: the contract refuses.
            ClientError (AMBIGUOUS_NAME): its title would be taken for another's.
        """
        terms = read_description(Path(description), code).terms()
        return (await deciding.register_dataset(self.ledger, self.key, terms)).dataset

    def book(self, dataset: bytes) -> PublishedState:
        """Open the book of what is published of a dataset; use it in a `with` block."""
        return PublishedState(self.books / f"{dataset.hex()}.book", dataset)

    @property
    def books(self) -> Path:
        """Directory of the books of what is published."""
        return self.home / "books"

    @Method
    async def applications(self) -> tuple[ApplicationShown, ...]:
        """Return who applies for the provider's datasets."""
        return await deciding.applications_to_decide(self.ledger)

    @Method
    async def approve(
        self, application: ApplicationShown, expires_at: int, fields: int | None = None
    ) -> Mined:
        """Approve an application for all fields that it asks for, or for a bitmap of fewer."""
        mask = int(application.fields) if fields is None else fields
        identifier = from_hex(application.application, 32)
        return await self.send_call(contract_calls.approve(identifier, mask, expires_at))

    @Method
    async def decline(self, application: ApplicationShown, reason: str) -> Mined:
        """Decline an application; the reason is public for ever."""
        identifier = from_hex(application.application, 32)
        return await self.send_call(contract_calls.decline(identifier, reason))

    @Method
    async def erase(self, dataset: bytes, number: int) -> Mined:
        """Erase a record of the newest version for good.

        Raises:
            ClientError (NOT_FOUND_HERE): the book has no such record.
        """
        with self.book(dataset) as book:
            known, version = book.item(number), book.version
        if known is None or known.root is None:
            raise ClientError(
                f"record {number} is not in the newest version", ErrorKind.NOT_FOUND_HERE
            )
        return await deciding.erase(self.ledger, self.key, dataset, number, known.root, version)

    @Method
    async def accesses(self, dataset: bytes) -> AccessesAnswer:
        """Return who used a dataset, the newest first, by the gateway's word."""
        return await with_retries(supervision.dataset_accesses(dataset))

    def publisher(self, client: Client, described: Description, tell: Progress) -> Publisher:
        """Return what publishes versions of a described dataset; `tell` hears how far it has got."""
        dataset = dataset_id(self.address, described.code.encode())
        keyholders = self.city.keyholders
        services = RemoteServices(client, self.ledger, self.encryption_key, keyholders)
        return Publisher(described, dataset, services, self.books, tell)

    def _publish(
        self,
        client: Client,
        file: Path | str,
        description: Path | str,
        code: str | None,
        options: Options | None,
    ) -> Publication:
        described = read_description(Path(description), code)
        publisher = self.publisher(client, described, lambda *_: None)
        return publisher.publish(Path(file), options or Options())


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
        return self._publish(self.client, file, description, code, options)


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
            with Client(self.endpoints(), key=self.key, chain_id=chain_id) as client:
                return self._publish(client, file, description, code, options)

        return await asyncio.to_thread(work)


class _Citizen(Member):
    """A person, or an enterprise, with one key for each subject id."""

    def unlock(self) -> None:
        for identity in self.keys.identities.active:
            self.keys.signer(identity)

    def asker(self) -> None:
        """Nobody in particular: subjects sign for themselves."""

    @cached_property
    def keys(self) -> PersonKeys:
        """The keys of the wallet's ids."""
        identities = Identities(self.home / "wallet.json")
        return PersonKeys(self.keystore, self.password, identities, self.ledger)

    @Method
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

    @Method
    async def inbox(self) -> tuple[Proposal | Unspeakable, ...]:
        """Return for each consent request what would be signed: the exact statement and the fields."""
        waiting = await past.inbox(self.keys.signers())
        return await propose_each(self.ledger, waiting, int(time.time()))

    @Method
    async def waiting(self) -> tuple[Asked, ...]:
        """Return the consent requests as they came, the newest first."""
        return await past.inbox(self.keys.signers())

    @Method
    async def propose(self, asked: Asked, less: Less | None = None) -> Proposal:
        """Return what would be signed for a consent request, or for less than it asks.

        Raises:
            ProposalError: it cannot be granted as it is.
        """
        return await propose(self.ledger, asked, int(time.time()), less)

    @Method
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
        signer = self._signer(proposal.asked.subject)
        return await signed_acts.grant(self.city.deployment, signer, proposal)

    @Method
    async def refuse(self, request: Proposal | Unspeakable | Asked, reason: str = "") -> None:
        """Refuse a consent request; nothing gets on chain."""
        asked = request if isinstance(request, Asked) else request.asked
        await signed_acts.refuse(self._signer(asked.subject), asked.request, reason)

    @Method
    async def act(self, what: Act) -> Mined:
        """Sign an act on one of the ids, and bring it on chain.

        Raises:
            RefusedError: the contract refuses.
        """
        return await signed_acts.act(self.city.deployment, self._signer(what.subject), what)

    def _signer(self, subject: bytes) -> SubjectSigner:
        return self.keys.signer(self.keys.identities.of_subject(subject))

    @Method
    async def revoke(self, authorization: bytes) -> Mined:
        """End an authorization: from the next block on it opens nothing.

        Raises:
            ClientError (NOT_FOUND_HERE): none of the wallet's ids granted it.
        """
        for granted in await past.authorizations(self.keys.signers()):
            if granted.id == to_hex(authorization):
                subject = from_hex(granted.subject, 32)
                what = signed_acts.revocation(subject, authorization)
                return await signed_acts.act(self.city.deployment, self._signer(subject), what)
        raise ClientError("none of the wallet's ids granted this", ErrorKind.NOT_FOUND_HERE)

    @Method
    async def authorizations(self) -> tuple[AuthorizationShown, ...]:
        """Return what was granted, the newest first."""
        return await past.authorizations(self.keys.signers())

    @Method
    async def history(self) -> tuple[HistoryEntry, ...]:
        """Return what happened around all ids, the newest first, by the gateway's word."""
        return await past.history(self.keys.signers())


class Citizen(_Citizen, Party):
    """A person in ordinary code."""


class AsyncCitizen(_Citizen, AsyncParty):
    """A person in asyncio."""


class _Regulator(Member):
    """A regulator, with a node of its own."""

    @Method
    async def trace(self, /, **about: bytes | str) -> dict[str, Any]:
        """Return everything about a `subject`, `authorization`, `consumer`, `dataset` or `case`.

        It is the gateway's word; `replay` needs nobody's.
        """
        return await with_retries(supervision.trace(**about))

    @Method
    async def alerts(self) -> tuple[AlertShown, ...]:
        """Return what supervision noticed."""
        return await with_retries(supervision.alerts())

    @Method
    async def fetch_journal(self, path: Path) -> int:
        """Fetch the gateway's release journal into a file; return the number of its lines."""
        return await fetch_journal(path)

    @Method
    async def restrict(self, consumer: bytes, until: int, reason: str) -> Mined:
        """Deny every access of a consumer until a time; the reason is public for ever."""
        return await self.send_call(contract_calls.restrict(consumer, until, reason))

    @Method
    async def lift(self, consumer: bytes, reason: str) -> Mined:
        """End a restriction before its time."""
        return await self.send_call(contract_calls.lift(consumer, reason))

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

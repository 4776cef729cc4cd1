"""Bringing on chain what others signed: people's records and parties' transactions, within bounds for each."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from gateway.access.links import Linking
from gateway.auth import Callers
from gateway.consent.statements import Statements
from gateway.errors import (
    BodyError,
    ConflictError,
    ForbiddenError,
    ProblemError,
    RefusedError,
    UnavailableError,
)
from gateway.store.authorizations import AuthorizationStore, StoredAuthorization
from gateway.store.inbox import InboxStore, StoredAsk
from ledger.api import SignedLink
from ledger.api.consent import ConsentRequest
from ledger.api.relay import TransactionTerms
from ledger.artifacts import ContractName, load_artifact
from ledger.chain import contract_calls, eth_methods
from ledger.chain.contract_calls import Approval, ContractCall, verify_call
from ledger.chain.deployment import Deployment
from ledger.chain.reverts import Revert, RevertError
from ledger.chain.rpc import AsyncRpc, RpcError
from ledger.chain.transactions import GAS_CAP, MAX_RAW, SignedTransaction, parse_transaction
from ledger.crypto.signatures import UnknownVerifierError, verify_signer
from ledger.errors import MalformedError, SigningError
from ledger.gathering import Gatherer
from ledger.hexstr import keccak256
from ledger.index.index import Index
from ledger.index.queries import Selection
from ledger.index.rows import Place
from ledger.plain_text import PlainTextError
from ledger.service.rate_limit import STRANGERS, RateLimit
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    digest,
    struct_hash,
)

_STOPS_RATE: Final = 1.0
_STOPS_BURST: Final = 500
_ACTS_RATE: Final = 1 / 60
_ACTS_BURST: Final = 60
_STRANGERS_RATE: Final = 20.0
_STRANGERS_BURST: Final = 40
_UNCHECKED: Final = "unchecked"
"""All together whose signatures only the contract can check; not with the strangers, who need no such verifier."""


class RelayLimits:
    """Buckets for parties' transactions, for people's stops, and for what else people sign."""

    def __init__(self, callers: Callers, rate: float, burst: int) -> None:
        self._callers = callers
        self._transactions = RateLimit(rate, burst)
        self._stops = RateLimit(_STOPS_RATE, _STOPS_BURST)
        self._acts = RateLimit(_ACTS_RATE, _ACTS_BURST)
        self._strangers = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)
        self._outlooks = RateLimit(_STRANGERS_RATE, _STRANGERS_BURST)

    async def is_party(self, account: bytes) -> bool:
        """Tell whether an account may have its transactions relayed.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
            UnavailableError: That cannot be told now.
        """
        if self._callers.is_party(account):
            return True
        self._strangers.take(STRANGERS)
        return await self._callers.may_transact(account)

    def count_transaction(self, party: bytes) -> None:
        """Count a transaction of a party.

        Raises:
            ThrottledError: It sends too many.
        """
        self._transactions.take(party)

    def check_outlook(self, account: bytes) -> None:
        """Let anybody ask where a party's account stands; where all others' do, only now and then.

        Raises:
            ThrottledError: Too many ask for addresses of which nothing is known.
        """
        if not self._callers.is_party(account):
            self._outlooks.take(STRANGERS)

    def count_spent(self) -> None:
        """Count a transaction whose place is taken: anybody can send an old one of somebody else.

        Raises:
            ThrottledError: There are too many.
        """
        self._strangers.take(STRANGERS)

    async def check_signer(self, signer: bytes, subject: bytes) -> None:
        """Let who signs for a subject pass; all others together may ask the node now and then.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
        """
        if not await self._callers.signs_for(signer, subject):
            self._strangers.take(STRANGERS)

    def check_stranger(self) -> None:
        """Count who signs with a verifier that only the contract knows, so that nobody here can check it.

        Raises:
            ThrottledError: Too many ask of whom nothing is known.
        """
        self._strangers.take(_UNCHECKED)

    def count_act(self, subject: bytes, signer: bytes, *, stops: bool) -> None:
        """Count what somebody signed for a subject, and the contract would take.

        Raises:
            ThrottledError: Too much was signed for the subject, or by this signer to stop something.
        """
        if stops:
            self._stops.take((subject, keccak256(signer)))
        else:
            self._acts.take(subject)


_PAGE: Final = 1000

_OURS: Final[tuple[ContractName, ...]] = (
    "Registry",
    "Catalogue",
    "Agreements",
    "Authorizations",
    "AccessLog",
)

_CHANGING: Final = frozenset(
    (name, item.hash[:4])
    for name in _OURS
    for item in load_artifact(name).items("function")
    if item.state_mutability not in ("view", "pure")
)
"""Contract and selector of each function that changes something: anything else would be mined for nothing."""

Act = Revocation | Confirmation | Freeze | SignerRotation | RecoveryVeto | GuardianAppointment
"""What a subject signs besides authorizations."""


class Relayed(msgspec.Struct, frozen=True):
    """Where something is on chain, in a final block."""

    transaction: bytes
    block_number: int
    block_hash: bytes


class Relay(Protocol):
    """The recorder, as far as relays need it (`ledger.recorder`)."""

    async def relay(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        """Send a call from the gateway's account; return when its block is final.

        Args:
            call: What somebody signed.
            accepted: Awaited when the contract would take the call, before it is sent.

        Raises:
            RevertError: The contract refuses it.
            UnavailableError: It is not on chain now; it may be sent again.
        """
        ...

    async def relay_raw(self, transaction: SignedTransaction) -> Relayed:
        """Send a party's own transaction; return when its block is final. Errors as for `relay`."""
        ...


class Grant(msgspec.Struct, frozen=True):
    """An authorization to bring on chain, with what ties its subject to the data."""

    authorization: Authorization
    approval: Approval
    link: SignedLink
    ask: str | None


class Relays:
    """Relays signed records and transactions. Safe for concurrent use in one event loop."""

    def __init__(
        self,
        *,
        deployment: Deployment,
        rpc: AsyncRpc,
        index: Index,
        relay: Relay,
        linking: Linking,
        statements: Statements,
        limits: RelayLimits,
        authorizations: AuthorizationStore,
        inbox: InboxStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._deployment = deployment
        self._relay = relay
        self._linking = linking
        self._statements = statements
        self._rpc = rpc
        self._index = index
        self._limits = limits
        self._outlooks: Gatherer[bytes, TransactionTerms] = Gatherer(self._ask_outlooks)
        self._relaying: set[bytes] = set()
        """Hashes of parties' transactions that are being relayed."""
        self._authorizations = authorizations
        self._inbox = inbox
        self._clock = clock

    async def authorize(self, grant: Grant) -> Relayed:
        """Bring an authorization on chain.

        The link and the signed statement are stored when the contract would take them, so nothing unverified
        is kept, and before they are sent: if we crash after the grant is on chain, an access to it can be
        answered all the same.

        Raises:
            ThrottledError: Too much was signed for the subject, or too many strangers ask.
            ProblemError: The link is for another subject or dataset.
            LinkRefusedError: It does not count.
            ConflictError, UnknownError: It does not answer the ask it names.
            ConflictError: Its statement does not say what it authorizes.
            RefusedError: The contracts refuse it.
            UnavailableError: It is not on chain now.
        """
        record = grant.authorization
        if (grant.link.link.subject, grant.link.link.dataset) != (record.subject, record.dataset):
            raise ProblemError("the link is for another subject or dataset", "link-mismatch")
        link = await self._linking.verify(grant.link)
        now = int(self._clock())
        if grant.ask is not None:
            _check_ask(await self._inbox.get(grant.ask), record, now)
        await self._check_signer(record, grant.approval)
        await self._statements.verify(record)
        authorization = struct_hash(record)

        async def keep() -> None:
            await self._linking.keep(link, now)
            await self._authorizations.put(
                StoredAuthorization(authorization, record, grant.approval, None, now)
            )

        async def accepted() -> None:
            self._limits.count_act(record.subject, grant.approval.signer, stops=False)
            await keep()

        done = await self._once(
            contract_calls.grant(record, grant.approval),
            "AlreadyGranted",
            self._granted,
            authorization,
            accepted,
        )
        # Another gateway may have brought it on chain: its id is the record's, and its signer is known there.
        granted = await self._index.authorization(authorization)
        if granted is not None and granted.signer_hash == keccak256(grant.approval.signer):
            await keep()
        await self._authorizations.note_transaction(authorization, done.transaction)
        if grant.ask is not None:
            await self._inbox.grant(grant.ask, authorization)
        return done

    async def act(self, act: Act, approval: Approval) -> Relayed:
        """Bring another record of a subject on chain.

        Raises:
            ThrottledError: Too much was signed for the subject, or too many strangers ask.
            RefusedError: The contracts refuse it.
            UnavailableError: It is not on chain now.
        """
        await self._check_signer(act, approval)

        async def accepted() -> None:
            self._limits.count_act(act.subject, approval.signer, stops=_stops(act))

        if isinstance(act, Revocation):
            return await self._once(
                contract_calls.revoke(act, approval),
                "AlreadyRevoked",
                self._revoked,
                act.authorization,
                accepted,
            )
        return await self._send(_call_of(act, approval), accepted)

    async def transact(self, raw: bytes) -> Relayed:
        """Relay a party's own transaction, if it would change something in one of the five contracts.

        Raises:
            BodyError: It is no transaction that is taken here.
            ForbiddenError: It is to somebody else, changes nothing, is for another chain, or is nobody's who is a party.
            ThrottledError: The party sends too many, or too many strangers ask.
            RefusedError: The contract refuses it.
            UnavailableError: It is not on chain now.
        """
        if len(raw) > MAX_RAW:
            raise BodyError(f"a transaction has at most {MAX_RAW} bytes")
        try:
            transaction = parse_transaction(raw)
        except MalformedError as error:
            raise BodyError(str(error)) from error
        if transaction.content.chain_id != self._deployment.chain_id:
            raise ForbiddenError(f"only transactions for chain {self._deployment.chain_id}")
        call = ContractCall(self._contract(transaction), transaction.content.data)
        if (call.contract, call.data[:4]) not in _CHANGING:
            raise ForbiddenError("only functions of the contracts that change something")
        if not await self._limits.is_party(transaction.sender):  # before its arguments are read
            raise ForbiddenError("only transactions of parties, admitted or pending")
        try:
            verify_call(call)
        except PlainTextError as error:
            raise BodyError(f"the transaction: {error}") from error
        if transaction.hash in self._relaying:
            return await self._transact(transaction)
        if await self._is_spent(transaction):
            self._limits.count_spent()
        else:
            self._limits.count_transaction(transaction.sender)
        self._relaying.add(transaction.hash)
        try:
            return await self._transact(transaction)
        finally:
            self._relaying.discard(transaction.hash)

    async def outlook(self, address: bytes) -> TransactionTerms:
        """Return what an account needs for its next transaction. Asks the node once for all who come at one time.

        Raises:
            ThrottledError: Too many ask for addresses of which nothing is known.
            UnavailableError: That cannot be told now.
        """
        self._limits.check_outlook(address)
        found = (await self._outlooks.get([address])).get(address)
        if found is None:
            raise UnavailableError("the node cannot be asked", "chain-unavailable")
        return found

    async def _ask_outlooks(self, addresses: Sequence[bytes]) -> Mapping[bytes, TransactionTerms]:
        calls = [eth_methods.transaction_count(address, "pending") for address in addresses]
        try:
            *nonces, price = await self._rpc.send_many([*calls, eth_methods.gas_price()])
        except RpcError:
            return {}
        chain_id = self._deployment.chain_id
        return {
            address: TransactionTerms(nonce, chain_id, str(price), GAS_CAP)
            for address, nonce in zip(addresses, nonces, strict=True)
        }

    async def _is_spent(self, transaction: SignedTransaction) -> bool:
        count = eth_methods.transaction_count(transaction.sender)
        try:
            return transaction.content.nonce < await self._rpc.send(count)
        except RpcError as error:
            raise UnavailableError("the node cannot be asked", "chain-unavailable") from error

    async def _granted(self, authorization: bytes) -> Relayed | None:
        found = await self._index.authorization(authorization)
        return None if found is None else _relayed(found.place)

    async def _revoked(self, authorization: bytes) -> Relayed | None:
        for event in await self._index.events(Selection(basis=authorization), limit=_PAGE):
            if event.name == "Revoked":
                return _relayed(event.place)
        return None

    async def _transact(self, transaction: SignedTransaction) -> Relayed:
        try:
            return await self._relay.relay_raw(transaction)
        except RevertError as error:
            raise RefusedError(error.revert) from error

    def _contract(self, transaction: SignedTransaction) -> ContractName:
        for name in _OURS:
            if self._deployment.address_of(name) == transaction.content.to:
                return name
        raise ForbiddenError("only transactions to the five contracts of this deployment")

    async def _check_signer(self, record: Act | Authorization, approval: Approval) -> None:
        """Refuse what is not signed at all, before the node is asked; let strangers ask it now and then."""
        signed = digest(record, self._deployment.domain_of(record))
        verifiers = (self._deployment.webauthn_verifier,)
        try:
            verify_signer(approval.signer, signed, approval.signature, verifiers)
        except UnknownVerifierError:
            # The contract knows more of them. Anybody can put a listed one before a signer of a person's.
            self._limits.check_stranger()
            return
        except SigningError as error:
            raise RefusedError(Revert("InvalidSignature", (), b"")) from error
        await self._limits.check_signer(approval.signer, record.subject)

    async def _once(
        self,
        call: ContractCall,
        already: str,
        past: Callable[[bytes], Awaitable[Relayed | None]],
        authorization: bytes,
        accepted: Callable[[], Awaitable[None]],
    ) -> Relayed:
        try:
            return await self._relay.relay(call, accepted)
        except RevertError as error:
            if error.revert.name != already:
                raise RefusedError(error.revert) from error
            found = await past(authorization)
            if found is None:
                raise UnavailableError(
                    "it is on chain, and not in the index yet", "index-behind"
                ) from error
            return found

    async def _send(self, call: ContractCall, accepted: Callable[[], Awaitable[None]]) -> Relayed:
        try:
            return await self._relay.relay(call, accepted)
        except RevertError as error:
            raise RefusedError(error.revert) from error


def _relayed(place: Place) -> Relayed:
    return Relayed(place.transaction, place.block_number, place.block_hash)


def _check_ask(ask: StoredAsk, record: Authorization, now: int) -> None:
    """Check that an authorization is within what was asked: a person may grant less, not more."""
    if ask.state_at(now) in ("refused", "expired"):
        raise ConflictError(f"the request is {ask.state_at(now)}", "request-state")
    asked = ConsentRequest.parse(ask.body)
    same = (
        ask.subject == record.subject
        and ask.consumer == record.consumer
        and asked.dataset == record.dataset
        and asked.item == record.item
        and asked.purpose == record.purpose
        and asked.case_reference == record.case_reference
    )
    within = (
        not record.fields & ~asked.fields
        and record.not_before >= asked.not_before
        and record.expires_at <= asked.expires_at
        and record.max_uses <= asked.max_uses
        and record.min_interval >= asked.min_interval
    )
    if not same or not within:
        raise ConflictError(
            "the authorization is for more, or for something else, than was asked",
            "request-mismatch",
        )


def _stops(act: Act) -> bool:
    """Whether an act only stops something; the lift of a freeze does not."""
    return isinstance(act, Revocation) or (isinstance(act, Freeze) and act.frozen)


def _call_of(act: Act, approval: Approval) -> ContractCall:
    if isinstance(act, Revocation):
        return contract_calls.revoke(act, approval)
    if isinstance(act, Confirmation):
        return contract_calls.confirm(act, approval)
    if isinstance(act, Freeze):
        return contract_calls.set_frozen(act, approval)
    if isinstance(act, SignerRotation):
        return contract_calls.rotate_signer(act, approval)
    if isinstance(act, RecoveryVeto):
        return contract_calls.veto_recovery(act, approval)
    return contract_calls.appoint_guardian(act, approval)

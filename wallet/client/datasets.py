"""What is known of datasets, purposes and parties: from the own node if there is one.

Without a node of its own a party has the gateway's word, except where an id is the hash of what it
names: a purpose's text is checked against its id in any case.
"""

import time
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from ledger.chain import contract_calls, contract_reads
from ledger.chain.events import (
    DatasetRegistered,
    DatasetTerms,
    Granted,
    PartyAdmitted,
    PurposeRegistered,
    PurposeTerms,
    Text,
)
from ledger.crypto.merkle import EMPTY_ROOT, TreeHead
from ledger.encoding import Schema
from ledger.hexstr import from_hex, to_hex
from ledger.model import CLASSES, Class
from wallet.client import chain
from wallet.client.calls import Answer, HttpCall, look, path, pause, reader
from wallet.client.errors import Check, ClientError, ErrorKind, ProblemError, VerificationError
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries

_INDEX_TIMEOUT: Final = 15.0
"""Seconds in which a gateway hears of what is in a final block."""
_POLL_INTERVAL: Final = 0.2

Count = Annotated[int, msgspec.Meta(ge=0)]


class DatasetAnswer(msgspec.Struct, frozen=True):
    """What the gateway tells of a dataset."""

    terms: DatasetTerms
    provider: bytes
    newest: int
    head: TreeHead


async def registered(ledger: ChainAccess, dataset: bytes) -> DatasetTerms:
    """Return the terms under which a dataset is registered.

    Raises:
        ClientError (UNKNOWN_NAME): there is no such dataset.
    """
    if not ledger.own_node:
        return (await with_retries(ask_dataset(dataset))).terms
    found = await chain.events(ledger, DatasetRegistered, (dataset,))
    if not found:
        raise ClientError(f"no dataset {to_hex(dataset)} is registered", ErrorKind.UNKNOWN_NAME)
    return found[0].terms


async def wait_until_registered(ledger: ChainAccess, dataset: bytes) -> DatasetTerms:
    """Return the terms of a dataset that was just registered; the gateway may hear of it later.

    Raises:
        ProblemError (NOT_FOUND), ClientError (UNKNOWN_NAME): it is not there.
    """
    until = time.monotonic() + _INDEX_TIMEOUT
    while True:
        try:
            return await registered(ledger, dataset)
        except ProblemError as error:
            if error.kind != ErrorKind.NOT_FOUND or time.monotonic() > until:
                raise
        await pause(_POLL_INTERVAL)


async def schema(ledger: ChainAccess, dataset: bytes) -> Schema:
    """Return a dataset's schema."""
    return Schema(dataset, (await registered(ledger, dataset)).fields)


async def newest_publication(ledger: ChainAccess, dataset: bytes) -> tuple[int, TreeHead]:
    """Return version, count and root of a dataset's newest publication; version zero for none."""
    if not ledger.own_node:
        told = await with_retries(ask_dataset(dataset))
        return told.newest, told.head
    at = ledger.deployment.contracts
    state = await look(contract_reads.dataset_of(at, dataset))
    if not state.publications:
        return 0, TreeHead(0, EMPTY_ROOT)
    found = await look(contract_reads.publication_of(at, dataset, state.publications))
    return state.publications, TreeHead(found.count, found.root)


async def wait_for_publication(ledger: ChainAccess, dataset: bytes, head: TreeHead) -> int:
    """Return the version of a publication that was just made; the gateway may hear of it a little later.

    Raises:
        ClientError (UNKNOWN_NAME): the newest publication is another one.
    """
    until = time.monotonic() + _INDEX_TIMEOUT
    while True:
        version, newest = await newest_publication(ledger, dataset)
        if newest == head:
            return version
        if time.monotonic() > until:
            raise ClientError(
                "the newest publication is not the one that was sent", ErrorKind.UNKNOWN_NAME
            )
        await pause(_POLL_INTERVAL)


async def purpose_terms(ledger: ChainAccess, purpose: bytes) -> PurposeTerms:
    """Return a purpose's texts and bounds; checked against its id.

    Raises:
        ClientError (UNKNOWN_NAME): there is no such purpose.
        VerificationError: the gateway tells of other terms.
    """
    if ledger.own_node:
        found = await chain.events(ledger, PurposeRegistered, (purpose,))
        terms = [event.terms for event in found]
    else:
        told = await with_retries(ask_purposes())
        terms = [terms for terms in told if contract_calls.purpose_id(terms) == purpose]
    if not terms:
        raise ClientError(f"no purpose {to_hex(purpose)} is registered", ErrorKind.UNKNOWN_NAME)
    if contract_calls.purpose_id(terms[0]) != purpose:
        raise VerificationError(Check.BASIS, "the purpose's terms are not those of its id")
    return terms[0]


async def party_name(ledger: ChainAccess, party: bytes) -> str:
    """Return the name under which a party is admitted.

    Raises:
        ClientError (UNKNOWN_NAME): it never was.
    """
    if not ledger.own_node:
        return (await with_retries(_ask_party(party))).name
    found = await chain.events(ledger, PartyAdmitted, (party.rjust(32, b"\0"),))
    if not found:
        raise ClientError(f"{to_hex(party)} was never admitted", ErrorKind.UNKNOWN_NAME)
    return found[-1].title


async def name_at_grant(
    ledger: ChainAccess, authorization: bytes, consumer: bytes, told: str
) -> str:
    """Return the name that a consumer had at the place of a grant: the person was shown it.

    Args:
        ledger: the contracts.
        authorization: what was granted.
        consumer: to whom.
        told: the gateway's word, which counts without a node of one's own; empty where it has none.

    Raises:
        ClientError (UNKNOWN_NAME): it had none, or the authorization is not on chain.
    """
    if not ledger.own_node:
        return told or (await party_name(ledger, consumer))
    until = time.monotonic() + _INDEX_TIMEOUT
    while not (granted := (await chain.events(ledger, Granted, (authorization,)))):
        if time.monotonic() > until:
            raise ClientError(
                f"authorization {to_hex(authorization)} is in no final block",
                ErrorKind.UNKNOWN_NAME,
            )
        await pause(_POLL_INTERVAL)  # the gateway may hear of it before the own node
    place = (granted[0].block.number, granted[0].log_index)
    admitted = await chain.events(
        ledger, PartyAdmitted, (consumer.rjust(32, b"\0"),), last=place[0]
    )
    before = [event for event in admitted if (event.block.number, event.log_index) < place]
    if not before:
        raise ClientError(f"{to_hex(consumer)} was not admitted then", ErrorKind.UNKNOWN_NAME)
    return before[-1].title


async def has_role(party: bytes, role: str) -> bool:
    """Tell whether a party is active in a role, by the gateway's word."""
    try:
        found = await with_retries(_ask_party(party))
    except ProblemError as error:
        if error.kind != ErrorKind.NOT_FOUND:
            raise
        return False
    return found.active and role in found.roles


# The gateway's word


class _Newest(msgspec.Struct):
    version: Count
    root: str
    count: Count


class _Dataset(msgspec.Struct):
    code: str
    title: str
    fields: tuple[str, ...]
    sharing: str
    open: str
    grade: int
    personal: bool
    update_cycle: int
    provider: str
    publication: _Newest | None = None


class _Text(msgspec.Struct):
    language: str
    template: str


class _Purpose(msgspec.Struct):
    code: str
    texts: tuple[_Text, ...]
    max_validity: int
    max_uses: int
    min_interval: int
    retention: int


class _Purposes(msgspec.Struct):
    purposes: tuple[_Purpose, ...]


class _Party(msgspec.Struct):
    name: str
    active: bool = False
    roles: tuple[str, ...] = ()
    address: str = ""


class _Parties(msgspec.Struct):
    parties: tuple[_Party, ...]


class NamedParty(msgspec.Struct, frozen=True):
    """A party's account, and its name on chain."""

    address: bytes
    name: str
    active: bool


def ask_dataset(dataset: bytes) -> HttpCall[DatasetAnswer]:
    """Ask the gateway what is registered and published of a dataset."""
    return HttpCall("GET", path("/v1/datasets/{}", dataset), _dataset)


def ask_purposes() -> HttpCall[tuple[PurposeTerms, ...]]:
    """Ask the gateway for all purposes."""
    return HttpCall("GET", "/v1/purposes", _purposes)


def ask_catalogue() -> HttpCall[bytes]:
    """Ask for the catalogue, a DCAT document in JSON-LD."""
    return HttpCall("GET", "/v1/catalogue", lambda answer: answer.body)


def ask_recorders() -> HttpCall[tuple[NamedParty, ...]]:
    """Ask the gateway which accounts may record: those that a consumer may name."""
    return HttpCall("GET", "/v1/parties", _recorders)


def ask_parties() -> HttpCall[tuple[NamedParty, ...]]:
    """Ask the gateway for all parties."""
    return HttpCall("GET", "/v1/parties", lambda answer: _named(_parties(answer)))


def _recorders(answer: Answer) -> tuple[NamedParty, ...]:
    return _named(party for party in _parties(answer) if party.active and "Recorder" in party.roles)


def _parties(answer: Answer) -> tuple[_Party, ...]:
    return msgspec.json.decode(answer.body, type=_Parties).parties


def _named(parties: Iterable[_Party]) -> tuple[NamedParty, ...]:
    return tuple(
        [NamedParty(from_hex(party.address, 20), party.name, party.active) for party in parties]
    )


def _ask_party(party: bytes) -> HttpCall[_Party]:
    return HttpCall("GET", path("/v1/parties/{}", party), reader(_Party))


def _dataset(answer: Answer) -> DatasetAnswer:
    found = msgspec.json.decode(answer.body, type=_Dataset)
    newest = found.publication
    return DatasetAnswer(
        terms=DatasetTerms(
            code=found.code,
            title=found.title,
            fields=found.fields,
            sharing=_class(found.sharing),
            open=_class(found.open),
            grade=found.grade,
            personal=found.personal,
            update_cycle=found.update_cycle,
        ),
        provider=from_hex(found.provider, 20),
        newest=newest.version if newest else 0,
        head=TreeHead(newest.count, from_hex(newest.root, 32)) if newest else _NONE,
    )


_NONE = TreeHead(0, EMPTY_ROOT)


def _class(text: str) -> Class:
    found = CLASSES.get(text)
    if found is None:
        raise msgspec.ValidationError(f"{text[:40]!r} is no class")
    return found


def _purposes(answer: Answer) -> tuple[PurposeTerms, ...]:
    found = msgspec.json.decode(answer.body, type=_Purposes).purposes
    return tuple(
        PurposeTerms(
            code=purpose.code,
            texts=tuple(Text(text.language, text.template) for text in purpose.texts),
            max_validity=purpose.max_validity,
            max_uses=purpose.max_uses,
            min_interval=purpose.min_interval,
            retention=purpose.retention,
        )
        for purpose in found
    )

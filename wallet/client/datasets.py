"""What is known of datasets, purposes and parties: from the own node if there is one.

Without a node of its own a party has the gateway's word, except where an id is the hash of what it
names: a purpose's text is checked against its id in any case.
"""

import time
from dataclasses import asdict
from typing import Final

import msgspec

from ledger.api.catalogue import DatasetShown, PartiesAnswer, PartyShown, PurposesAnswer
from ledger.chain import contract_calls, contract_reads
from ledger.chain.events import (
    DatasetRegistered,
    DatasetTerms,
    Granted,
    PartyAdmitted,
    PurposeRegistered,
    PurposeTerms,
)
from ledger.crypto.merkle import EMPTY_ROOT, TreeHead
from ledger.encoding import Schema
from ledger.hexstr import from_hex, to_hex
from ledger.model import CLASSES
from wallet.client import chain
from wallet.client.calls import Answer, HttpCall, look, path, pause, reader
from wallet.client.errors import Check, ClientError, ErrorKind, ProblemError, VerificationError
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries

_INDEX_TIMEOUT: Final = 15.0
"""Seconds in which a gateway hears of what is in a final block."""
_POLL_INTERVAL: Final = 0.2


async def registered(ledger: ChainAccess, dataset: bytes) -> DatasetTerms:
    """Return the terms under which a dataset is registered.

    Raises:
        ClientError (UNKNOWN_NAME): there is no such dataset.
    """
    if not ledger.own_node:
        return _terms(await with_retries(ask_dataset(dataset)))
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
        newest = (await with_retries(ask_dataset(dataset))).publication
        if newest is None:
            return 0, TreeHead(0, EMPTY_ROOT)
        return newest.version, TreeHead(newest.count, from_hex(newest.root, 32))
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


def ask_dataset(dataset: bytes) -> HttpCall[DatasetShown]:
    """Ask the gateway what is registered and published of a dataset."""
    return HttpCall("GET", path("/v1/datasets/{}", dataset), reader(DatasetShown))


def ask_purposes() -> HttpCall[tuple[PurposeTerms, ...]]:
    """Ask the gateway for all purposes."""

    def read(answer: Answer) -> tuple[PurposeTerms, ...]:
        purposes = _purposes(answer).purposes
        return msgspec.convert(purposes, tuple[PurposeTerms, ...], from_attributes=True)

    return HttpCall("GET", "/v1/purposes", read)


def ask_catalogue() -> HttpCall[bytes]:
    """Ask for the catalogue, a DCAT document in JSON-LD."""
    return HttpCall("GET", "/v1/catalogue", lambda answer: answer.body)


def ask_parties() -> HttpCall[tuple[PartyShown, ...]]:
    """Ask the gateway for all parties."""
    return HttpCall("GET", "/v1/parties", lambda answer: _parties(answer).parties)


async def recorders() -> tuple[PartyShown, ...]:
    """Return whose accounts may record, by the gateway's word: those that a consumer may name."""
    parties = await with_retries(ask_parties())
    return tuple(party for party in parties if party.active and "Recorder" in party.roles)


def _ask_party(party: bytes) -> HttpCall[PartyShown]:
    return HttpCall("GET", path("/v1/parties/{}", party), reader(PartyShown))


_purposes = reader(PurposesAnswer)
_parties = reader(PartiesAnswer)


def _terms(shown: DatasetShown) -> DatasetTerms:
    members = asdict(shown)
    for name in ("sharing", "open"):
        if members[name] not in CLASSES:
            raise ClientError(f"not an answer of the protocol: {members[name][:40]!r} is no class")
        members[name] = CLASSES[members[name]]
    return msgspec.convert(members, DatasetTerms)

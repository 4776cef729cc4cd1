"""A provider's acts on chain beside publishing: register, decide on applications, erase."""

from dataclasses import replace

import msgspec

from ledger.api.supervision import ApplicationShown
from ledger.chain import contract_calls, contract_reads
from ledger.chain.events import Applied, DatasetTerms
from ledger.chain.events.identifiers import dataset_id
from ledger.hexstr import to_hex
from wallet.client import chain
from wallet.client.calls import look
from wallet.client.datasets import party_name, purpose_terms, wait_until_registered
from wallet.client.errors import Check, ClientError, ErrorKind, VerificationError
from wallet.client.names import require_free_title
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.retry import with_retries
from wallet.client.supervision import applications
from wallet.client.transactions import Mined, transact
from wallet.client.uploads import report_erasure


class Registered(msgspec.Struct, frozen=True):
    """A dataset that is on chain, by its id."""

    dataset: bytes
    mined: Mined


async def register_dataset(
    ledger: ChainAccess, key: PartyKey | None, terms: DatasetTerms
) -> Registered:
    """Register a dataset; its schema and whether it is personal never change.

    Raises:
        ClientError (AMBIGUOUS_NAME): people would take its title for another dataset's.
        RefusedError: the contract refuses; `error` says why.
    """
    if key is None:
        raise ClientError("this must be signed: name the provider's key", ErrorKind.NO_KEY)
    dataset = dataset_id(key.address, terms.code.encode())
    await require_free_title(ledger, dataset, terms.title)
    mined = await transact(ledger, key, contract_calls.register_dataset(terms))
    await wait_until_registered(ledger, dataset)
    return Registered(dataset, mined)


async def applications_to_decide(ledger: ChainAccess) -> tuple[ApplicationShown, ...]:
    """Return who applies for the provider's datasets; whoever it is and for what as on chain, if there is a node.

    What is approved is an id, so what a gateway tells of that id must be what it stands for.

    Raises:
        VerificationError: the gateway tells of one otherwise than the chain.
    """
    told = await with_retries(applications())
    if not ledger.own_node:
        return told
    applied = {to_hex(event.application): event for event in (await chain.events(ledger, Applied))}
    found = []
    for one in told:
        event = applied.get(one.application)
        if event is None or _differs(one, event):
            detail = f"application {one.application} is not on chain as the gateway tells of it"
            raise VerificationError(Check.BASIS, detail)
        name = await party_name(ledger, event.consumer)
        terms = await purpose_terms(ledger, event.purpose)
        found.append(replace(one, consumer_name=name, purpose_code=terms.code))
    return tuple(found)


def _differs(one: ApplicationShown, event: Applied) -> bool:
    told = (one.consumer, one.dataset, one.purpose, one.fields, one.justification)
    ids = (event.consumer, event.dataset, event.purpose)
    return told != (*map(to_hex, ids), str(event.fields), event.justification)


async def fields_applied_for(ledger: ChainAccess, application: bytes) -> int:
    """Return what an application asks for: a bitmap over the dataset's schema.

    Raises:
        ClientError (UNKNOWN_NAME): there is no such application.
    """
    if ledger.own_node:
        state = await look(contract_reads.application_of(ledger.deployment.contracts, application))
        fields = state.fields
    else:
        told = await with_retries(applications())
        wanted = to_hex(application)
        fields = next((int(one.fields) for one in told if one.application == wanted), 0)
    if not fields:
        raise ClientError(f"there is no application {to_hex(application)}", ErrorKind.UNKNOWN_NAME)
    return fields


async def erase(
    ledger: ChainAccess,
    key: PartyKey | None,
    dataset: bytes,
    number: int,
    item: bytes,
    version: int,
) -> Mined:
    """Erase a record: its tombstone on chain first, then salt and ciphertext at the gateway.

    Args:
        ledger: the contracts.
        key: the provider's.
        dataset: 32 bytes.
        number: of the record.
        item: its root (`Book.item`).
        version: a publication that has it.
    """
    mined = await transact(ledger, key, contract_calls.erase(dataset, item, version))
    await with_retries(report_erasure(dataset, number, mined.transaction))
    return mined

"""Terms with a provider: apply for a dataset, bind oneself to confidentiality."""

import secrets
import time
from typing import Final

import msgspec

from ledger.chain import contract_calls
from ledger.chain.events.identifiers import application_id
from ledger.typed_data import ConfidentialityAgreement
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import Mined, transact

_TIME_TO_RELAY: Final = 3600


class Applied(msgspec.Struct, frozen=True):
    """An application, and where it is on chain."""

    application: bytes
    mined: Mined


async def apply(
    ledger: ChainAccess,
    key: PartyKey,
    *,
    dataset: bytes,
    purpose: bytes,
    fields: int,
    justification: str,
) -> Applied:
    """Apply for a dataset and a purpose; see `transact`.

    Args:
        ledger: the contracts.
        key: the consumer's.
        dataset: 32 bytes.
        purpose: 32 bytes.
        fields: bitmap over the dataset's schema.
        justification: why; public for ever, so it names nobody.
    """
    nonce = secrets.token_bytes(32)
    call = contract_calls.apply_for(dataset, purpose, fields, justification, nonce)
    mined = await transact(ledger, key, call)
    return Applied(application_id(key.address, dataset, purpose, fields, nonce), mined)


async def sign_confidentiality(
    ledger: ChainAccess, key: PartyKey, application: bytes, text: str
) -> Mined:
    """Sign the confidentiality agreement of an application; the chain sees the hash of its text."""
    deadline = int(time.time()) + _TIME_TO_RELAY
    terms = ConfidentialityAgreement(
        key.address, application, text, secrets.token_bytes(32), deadline
    )
    signed = key.sign_record(terms, ledger.deployment.domain_of(terms))
    return await transact(ledger, key, contract_calls.sign_confidentiality(terms, signed))

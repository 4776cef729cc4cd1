"""Terms with a provider: apply for a dataset, bind oneself to confidentiality."""

import secrets
import time
from typing import Final

import msgspec

from ledger import contracts
from ledger.events.identifiers import application_id
from ledger.typed_data import ConfidentialityAgreement
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.party import PartyKey
from wallet.client.transactions import Ledger, Mined, transact

_TIME_TO_RELAY: Final = 3600


class Applied(msgspec.Struct, frozen=True):
    """An application, and where it is on chain."""

    application: bytes
    mined: Mined


async def apply(
    ledger: Ledger,
    key: PartyKey | None,
    *,
    dataset: bytes,
    purpose: bytes,
    fields: int,
    justification: str,
) -> Applied:
    """Apply for a dataset and a purpose.

    Args:
        ledger: the contracts.
        key: the consumer's.
        dataset: 32 bytes.
        purpose: 32 bytes.
        fields: bitmap over the dataset's schema.
        justification: why; public for ever, so it names nobody.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be sent.
    """
    present, nonce = _present(key), secrets.token_bytes(32)
    call = contracts.apply_for(dataset, purpose, fields, justification, nonce)
    mined = await transact(ledger, present, call)
    return Applied(application_id(present.address, dataset, purpose, fields, nonce), mined)


async def sign_confidentiality(
    ledger: Ledger, key: PartyKey | None, application: bytes, text: str
) -> Mined:
    """Sign the confidentiality agreement of an application, and bring it on chain.

    Args:
        ledger: the contracts.
        key: the consumer's.
        application: 32 bytes.
        text: the agreement's text; the chain sees its hash.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be sent.
    """
    present, deadline = _present(key), int(time.time()) + _TIME_TO_RELAY
    terms = ConfidentialityAgreement(
        present.address, application, text, secrets.token_bytes(32), deadline
    )
    signed = present.sign_record(terms, ledger.deployment.domain_of(terms))
    return await transact(ledger, present, contracts.sign_confidentiality(terms, signed))


def _present(key: PartyKey | None) -> PartyKey:
    if key is None:
        raise ClientError("this must be signed: name the consumer's key", ErrorKind.NO_KEY)
    return key

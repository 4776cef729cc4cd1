"""What a person signs and sends: grant, revoke, freeze, confirm, veto, rotate, guardians.

Each is an EIP-712 record that anyone may relay; here it goes by way of a gateway. If one gateway does
not relay it, any other one, or a node, will: the signature is all it takes.
"""

import secrets
import time

import msgspec

from ledger.chain.deployment import Deployment
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectOpening,
    struct_hash,
)
from wallet.citizen.proposal import Proposal
from wallet.client.asks import refuse_ask
from wallet.client.identity import ask_link
from wallet.client.relays import Act, relay_act, relay_authorization, relayed
from wallet.client.signers import MOST_TIME_TO_RELAY, SubjectSigner, approve, asking
from wallet.client.transactions import Mined
from wallet.errors import PartyError


class GrantedAuthorization(msgspec.Struct, frozen=True):
    """What a person granted, and where it is on chain."""

    id: bytes
    record: Authorization
    mined: Mined


async def grant(
    deployment: Deployment, signer: SubjectSigner, proposal: Proposal
) -> GrantedAuthorization:
    """Sign what was shown to the person that `signer` is of, and bring it on chain.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed.
    """
    record = proposal.authorization
    link = await asking(signer, ask_link(record.dataset, record.subject))
    if (link.link.subject, link.link.dataset) != (record.subject, record.dataset):
        raise PartyError(
            "Citizen", "the identity authority gave a link for another subject or dataset"
        )
    approval = approve(signer, record, deployment)
    call = relay_authorization(record, approval, link, proposal.asked.request)
    mined = await relayed(call)
    return GrantedAuthorization(struct_hash(record), record, mined)


async def refuse(signer: SubjectSigner, request: str, reason: str = "") -> None:
    """Refuse what a consumer asks for; nothing gets on chain."""
    await asking(signer, refuse_ask(request, reason))


async def act(deployment: Deployment, signer: SubjectSigner, what: Act) -> Mined:
    """Sign an act and bring it on chain.

    Raises:
        RefusedError: the contract refuses; `error` says why.
        ClientError: it could not be relayed.
    """
    return await relayed(relay_act(what, approve(signer, what, deployment)))


# The acts, as they are signed


def revocation(subject: bytes, authorization: bytes) -> Revocation:
    """Return the end of an authorization."""
    return Revocation(subject, authorization, _deadline())


def confirmation(subject: bytes, authorization: bytes) -> Confirmation:
    """Return a new key's word that an authorization of the old one counts."""
    return Confirmation(subject, authorization, _deadline())


def freeze(subject: bytes, *, frozen: bool) -> Freeze:
    """Return the stop of everything of a subject, or its end."""
    return Freeze(subject, frozen, _nonce(), _deadline())


def rotation(subject: bytes, new_signer: bytes) -> SignerRotation:
    """Return the change to another key, by the present one."""
    return SignerRotation(subject, new_signer, _nonce(), _deadline())


def veto(subject: bytes, new_signer: bytes) -> RecoveryVeto:
    """Return the stop of a recovery that one did not ask for."""
    return RecoveryVeto(subject, new_signer, _nonce(), _deadline())


def opening(subject: bytes) -> SubjectOpening:
    """Return the word of a closed id's key that it is opened; the counter sends it."""
    return SubjectOpening(subject, _nonce(), _deadline())


def appointment(subject: bytes, guardian: bytes, expires_at: int) -> GuardianAppointment:
    """Return the appointment of a guardian until a time; zero dismisses."""
    return GuardianAppointment(subject, guardian, expires_at, _nonce(), _deadline())


def _nonce() -> bytes:
    return secrets.token_bytes(32)


def _deadline() -> int:
    return int(time.time()) + MOST_TIME_TO_RELAY

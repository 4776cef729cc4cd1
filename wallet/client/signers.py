"""What a person signs with: an account, or a passkey in software."""

import time
from typing import Final, Protocol, TypeVar

from ledger.api.identity import SubjectAnswer
from ledger.chain.contract_calls import Approval
from ledger.chain.deployment import Deployment
from ledger.crypto.signatures import personal_digest
from ledger.typed_data import Authorization, SubjectOpening, digest
from wallet.client.authorities import verify_challenge
from wallet.client.calls import HttpCall, Service
from wallet.client.errors import ClientError
from wallet.client.identity import (
    ProvenSigner,
    my_subjects,
    open_session,
    session_challenge,
)
from wallet.client.party import Bearer, ChainAccess, PartyKey
from wallet.client.relays import Act
from wallet.client.retry import with_retries
from wallet.passkey import SoftwarePasskey

T = TypeVar("T")


class SubjectSigner(Protocol):
    """Signs for one subject id."""

    @property
    def signer(self) -> bytes:
        """ERC-7913 bytes."""

    def asker(self, service: Service) -> PartyKey | Bearer | None:
        """Return how this subject shows a service who asks; None as long as no session is open."""

    def sign_digest(self, digest_: bytes) -> bytes:
        """Return the signature over 32 bytes, as the contracts take it."""


class AccountSigner:
    """Signs with an Ethereum account."""

    def __init__(self, key: PartyKey) -> None:
        self._key = key

    @property
    def signer(self) -> bytes:
        """The account's address."""
        return self._key.address

    def asker(self, service: Service) -> PartyKey:  # noqa: ARG002 - the same for every service
        """Return the account: it signs requests itself."""
        return self._key

    def sign_digest(self, digest_: bytes) -> bytes:
        """Return 65 bytes r, s, v."""
        return self._key.sign_digest(digest_)


class PasskeySigner:
    """Signs with a passkey in software.

    Args:
        passkey: the key.
        ledger: the contracts, of which it signs for one chain's services only.
    """

    def __init__(self, passkey: SoftwarePasskey, ledger: ChainAccess) -> None:
        self._passkey = passkey
        self.ledger = ledger
        self._sessions: dict[Service, Bearer] = {}

    @property
    def signer(self) -> bytes:
        """Verifier and public key."""
        return self._passkey.signer(self.ledger.deployment.webauthn_verifier)

    def asker(self, service: Service) -> Bearer | None:
        """Return the session at a service: a passkey cannot sign requests."""
        return self._sessions.get(service)

    def remember(self, service: Service, session: Bearer) -> None:
        """Take over a session that was opened."""
        self._sessions[service] = session

    def sign_digest(self, digest_: bytes) -> bytes:
        """Return an encoded assertion with the digest as challenge."""
        return self._passkey.sign(digest_)


MAX_TIME_TO_RELAY: Final = 3600
"""Seconds from now to the deadline of what a person signs. One far ahead could be held back by whoever is to relay it, and
brought on chain when the person thinks no more of it: the contracts cannot tell when something was signed."""


def approve(
    signer: SubjectSigner,
    record: Act | Authorization | SubjectOpening,
    deployment: Deployment,
) -> Approval:
    """Return a subject's approval of a record.

    Raises:
        ClientError: It could be held back for more than an hour; nothing is signed.
    """
    if record.deadline > time.time() + MAX_TIME_TO_RELAY:
        raise ClientError("it could be brought on chain more than an hour from now")
    signed = signer.sign_digest(digest(record, deployment.domain_of(record)))
    return Approval(signer.signer, signed)


def prove(signer: SubjectSigner, text: bytes, keep_for: str = "any") -> ProvenSigner:
    """Return a signer with its signature over a text, which shows that somebody has it."""
    signature = signer.sign_digest(personal_digest(text))
    return ProvenSigner("0x" + signer.signer.hex(), "0x" + signature.hex(), keep_for)


async def asking(signer: SubjectSigner, call: HttpCall[T]) -> T:
    """Ask a service as a subject; with a passkey a session is opened first."""
    service = Service(call.service)
    if signer.asker(service) is None and isinstance(signer, PasskeySigner):
        signer.remember(service, (await begin_session(signer.ledger, signer, service)))
    return await with_retries(call.asked_by(signer.asker(service)))


async def begin_session(ledger: ChainAccess, signer: SubjectSigner, service: Service) -> Bearer:
    """Open a session at a service with its challenge, if the challenge is what it must be.

    Raises:
        ClientError (FOREIGN_TEXT): it is another text, such as another service's challenge; nothing is signed.
    """
    challenge = await with_retries(session_challenge(signer.signer, service))
    await verify_challenge(ledger, challenge, signer.signer, service)
    signed = signer.sign_digest(personal_digest(challenge.challenge.encode()))
    session = await with_retries(open_session(challenge, signer.signer, signed, service))
    return Bearer(session.token)


async def all_subjects(signer: SubjectSigner) -> tuple[SubjectAnswer, ...]:
    """Return all ids of the same person, as the identity authority knows them."""
    return (await asking(signer, my_subjects())).subjects

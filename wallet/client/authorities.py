"""What a wallet makes sure of before it signs a text for a gateway or an identity authority.

The wallet signs what it made itself. Of what a service tells it uses nothing that it did not hold
against its own deployment file, the address that it called, and the chain.
"""

from ledger.api.identity import AuthorityAnswer
from ledger.chain import contract_reads
from ledger.errors import LedgerError
from ledger.hexstr import parse_address, to_hex
from ledger.model import Roles
from ledger.service.challenges import Asker, ChallengeError, verify_session_text, verify_sign_in
from wallet.client import datasets
from wallet.client.calls import Service, look
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.identity import Challenge, about_authority
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries


async def identity_authority(ledger: ChainAccess) -> AuthorityAnswer:
    """Ask who the identity authority is, for the texts that signers sign to prove themselves.

    Raises:
        ClientError (FOREIGN_TEXT): it says that it is on another chain, or is nobody who is one on chain.
    """
    told = await with_retries(about_authority())
    if told.chain_id != ledger.deployment.chain_id:
        raise ClientError(
            f"the identity authority says that it is on chain {told.chain_id}",
            ErrorKind.FOREIGN_TEXT,
        )
    try:
        address = parse_address(told.address)
    except LedgerError as error:
        raise ClientError(
            "the identity authority tells no address of its own", ErrorKind.FOREIGN_TEXT
        ) from error
    await _verify_active(ledger, address)
    return AuthorityAnswer(to_hex(address), told.chain_id)


async def verify_challenge(
    ledger: ChainAccess, challenge: Challenge, signer: bytes, service: Service
) -> None:
    """Check that a challenge is, member for member, the one of the service that was called.

    Args:
        ledger: the contracts; with a node of one's own the chain is asked there, else the gateway.
        challenge: as it came.
        signer: whose session it is to be, ERC-7913 bytes.
        service: that was called.

    Raises:
        ClientError (FOREIGN_TEXT): it is not; it must not be signed.
    """
    scheme, _, host = challenge.origin.partition("://")
    asker = Asker(scheme, host, ledger.deployment.chain_id, signer)
    try:
        if service is Service.GATEWAY:
            verify_sign_in(challenge.challenge, asker, challenge.at)
            return
        authority = verify_session_text(challenge.challenge, asker, challenge.at)
    except ChallengeError as error:
        raise ClientError(
            f"{challenge.origin} hands over a text to sign: {error}", ErrorKind.FOREIGN_TEXT
        ) from error
    await _verify_active(ledger, authority)


async def _verify_active(ledger: ChainAccess, address: bytes) -> None:
    if ledger.own_node:
        standing = await look(contract_reads.standing_of(ledger.deployment.contracts, address))
        active = standing.active and Roles.IDENTITY_AUTHORITY in standing.roles
    else:
        active = await datasets.has_role(address, "IdentityAuthority")
    if not active:
        raise ClientError(
            f"{to_hex(address)} is no identity authority on chain", ErrorKind.FOREIGN_TEXT
        )

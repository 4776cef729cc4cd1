"""A party's account: it signs records, requests and transactions, and shows its key to nobody."""

import msgspec

from ledger.chain.deployment import Deployment
from ledger.chain.finality import Finality
from ledger.chain.transactions import (
    AS_SUGGESTED,
    FeeRule,
    SignedTransaction,
    Transaction,
)
from ledger.crypto.signatures import address_of, sign
from ledger.service.http_signatures import RequestTarget, SignatureHeaders, sign_request
from ledger.typed_data import Domain, SignedRecord, digest


class ChainAccess(msgspec.Struct, frozen=True):
    """Which contracts, and how the party gets to them."""

    deployment: Deployment
    own_node: bool
    """Whether the party has a node of its own."""
    finality: Finality = Finality.depth(0)
    timeout: float = 60.0
    """Seconds until a transaction has to be final."""
    fee: FeeRule = AS_SUGGESTED
    """What the party's transactions offer."""


class Bearer:
    """A session's token, for who cannot sign requests (a passkey)."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        return "Bearer(...)"

    @property
    def header(self) -> str:
        """Value of the Authorization header (RFC 6750)."""
        return f"Bearer {self._token}"


class PartyKey:
    """An Ethereum account of a party.

    Args:
        private_key: 32 bytes, from a keystore.

    Raises:
        SigningError: not a private key of secp256k1.
    """

    __slots__ = ("_private_key", "address")

    def __init__(self, private_key: bytes) -> None:
        self.address = address_of(private_key)
        self._private_key = private_key

    def __repr__(self) -> str:
        return f"PartyKey({self.address.hex()})"

    def sign_digest(self, digest_: bytes) -> bytes:
        """Return a signature over 32 bytes: 65 bytes r, s, v."""
        return sign(digest_, self._private_key)

    def sign_record(self, record: SignedRecord, domain: Domain) -> bytes:
        """Return the signature over an EIP-712 record."""
        return self.sign_digest(digest(record, domain))

    def sign_request(
        self, target: RequestTarget, content_digest: bytes | None, chain_id: int, now: int
    ) -> SignatureHeaders:
        """Return the headers that sign an HTTP request (RFC 9421)."""
        return sign_request(
            target, content_digest, self._private_key, chain_id=chain_id, created=now
        )

    def sign_transaction(self, transaction: Transaction) -> SignedTransaction:
        """Return a transaction as it travels."""
        from ledger.chain.accounts import sign_transaction  # noqa: PLC0415 - takes a second

        return sign_transaction(transaction, self._private_key)

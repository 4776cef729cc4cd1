"""What signers sign to prove that a person has them, and checking it.

The text is signed as EIP-191 `personal_sign` signs it; a passkey signs its digest as a challenge. It
names the chain, the authority and what it is for, so it is worth nothing anywhere else. What is signed
for a session stands in `ledger.challenges`: a wallet does not make that text, it is handed it.
"""

from collections.abc import Container
from typing import Final

import msgspec

from ledger.errors import SigningError
from ledger.hexes import to_hex
from ledger.signing import personal_digest, verify_signer
from wallet.identity.errors import PossessionError


class ProvenSigner(msgspec.Struct, frozen=True):
    """A signer (ERC-7913 bytes) and its signature."""

    signer: bytes
    signature: bytes


ENROLMENT: Final = ("enrolment", "code")
SUBJECTS: Final = ("subjects", "subject")
RECOVERY: Final = ("recovery", "person")


class Texts:
    """Makes and checks the texts of one authority on one chain.

    Args:
        chain_id: The deployment's.
        authority: Address of the identity authority.
        webauthn_verifiers: The deployment's.
    """

    def __init__(
        self, chain_id: int, authority: bytes, webauthn_verifiers: Container[bytes]
    ) -> None:
        self._lines = f"chain {chain_id}\nauthority {to_hex(authority)}"
        self._verifiers = webauthn_verifiers

    def text(self, what: tuple[str, str], value: str) -> str:
        """Return a text: what it is for, where, and for whom."""
        purpose, name = what
        return f"Quancheng {purpose}\n{self._lines}\n{name} {value}"

    def verify(self, text: str, proven: ProvenSigner) -> bytes:
        """Return the signer if it signed a text.

        Raises:
            PossessionError: It did not, or is of a kind that cannot be checked here.
        """
        digest = personal_digest(text.encode())
        try:
            verify_signer(proven.signer, digest, proven.signature, self._verifiers)
        except SigningError as error:
            raise PossessionError(f"a signer does not prove itself: {error}") from error
        return proven.signer

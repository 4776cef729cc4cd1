"""The texts that signers sign to prove that a person has them, and checking it.

The text is signed as EIP-191 `personal_sign` signs it; a passkey signs its digest as a challenge. It
names the chain, the authority and what it is for, so it is worth nothing anywhere else. What is signed
for a session stands in `ledger.service.challenges`: a wallet does not make that text, it is handed it.
"""

from collections.abc import Container
from typing import Final

from ledger.crypto.signatures import personal_digest, verify_signer
from ledger.errors import SigningError
from ledger.hexstr import to_hex
from wallet.identity.errors import POSSESSION_UNPROVEN, IdentityError

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

    def text(self, use: tuple[str, str], value: str) -> str:
        """Return a text: its purpose, where it counts, and for whom."""
        purpose, name = use
        return f"Quancheng {purpose}\n{self._lines}\n{name} {value}"

    def verify(self, text: str, signer: bytes, signature: bytes) -> bytes:
        """Return the signer (ERC-7913 bytes) if it signed a text.

        Raises:
            IdentityError: It did not, or is of a kind that cannot be checked here.
        """
        try:
            verify_signer(signer, personal_digest(text.encode()), signature, self._verifiers)
        except SigningError as error:
            detail = f"a signer does not prove itself: {error}"
            raise IdentityError(POSSESSION_UNPROVEN, detail) from error
        return signer

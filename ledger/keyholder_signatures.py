"""What a keyholder signs to show that an answer is its own, beside its parts (`ledger.parts_statements`).

A URL says nothing of who answers there: two may be one keyholder's. Source: docs/spec/custody.md.
"""

from ledger.encoding import SIZE, label, prefixed, sized
from ledger.hexes import ADDRESS_LENGTH
from ledger.signing import personal_digest
from ledger.typed_data import Domain, domain_separator


def holder_digest(nonce: bytes, domain: Domain) -> bytes:
    """Return what a keyholder signs to show who it is.

    Args:
        nonce: Of whoever asks, 32 bytes.
        domain: Of access requests: of one deployment.

    Raises:
        MalformedError: The nonce does not have 32 bytes.
    """
    text = label("holder") + domain_separator(domain) + sized("a nonce", nonce, SIZE)
    return personal_digest(text)


def subkeys_digest(
    roster: bytes, dataset: bytes, provider: bytes, sealed: bytes, domain: Domain
) -> bytes:
    """Return what a keyholder signs of the subkeys that it hands to a provider.

    Args:
        roster: Digest of the roster of their epoch.
        dataset: Its id, 32 bytes.
        provider: Whom they are sealed to, 20 bytes.
        sealed: The subkeys as they are sent.
        domain: Of access requests.

    Raises:
        MalformedError: An argument does not have its length.
    """
    text = label("handed-subkeys") + domain_separator(domain) + sized("a roster", roster, SIZE)
    text += sized("a dataset", dataset, SIZE) + sized("a provider", provider, ADDRESS_LENGTH)
    return personal_digest(text + prefixed(sealed))

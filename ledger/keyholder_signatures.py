"""What a keyholder signs to show that an answer is its own: two URLs may be one keyholder's.

Source: docs/spec/custody.md.
"""

from ledger.encoding import SIZE, label, prefixed, sized
from ledger.hexes import ADDRESS_LENGTH
from ledger.signing import personal_digest
from ledger.typed_data import Domain, domain_separator


def holder_digest(nonce: bytes, domain: Domain) -> bytes:
    """Return what a keyholder signs to show who it is, to whoever drew this nonce (32 bytes)."""
    text = label("holder") + domain_separator(domain) + sized("a nonce", nonce, SIZE)
    return personal_digest(text)


def subkeys_digest(
    roster: bytes, dataset: bytes, provider: bytes, sealed: bytes, domain: Domain
) -> bytes:
    """Return what a keyholder signs of the sealed subkeys that it hands to a provider.

    Roster is the digest of their epoch's; `MalformedError` if an argument does not have its length.
    """
    text = label("handed-subkeys") + domain_separator(domain) + sized("a roster", roster, SIZE)
    text += sized("a dataset", dataset, SIZE) + sized("a provider", provider, ADDRESS_LENGTH)
    return personal_digest(text + prefixed(sealed))

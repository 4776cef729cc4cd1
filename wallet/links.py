"""Who signed a link, remembered: the same one comes with every access under an authorization."""

from collections import OrderedDict
from typing import Final

from ledger.crypto.signatures import recover
from ledger.typed_data import Domain, SubjectLink, digest

USUAL_CAPACITY: Final = 100_000
"""Links remembered, about 30 MB."""


class RememberedLinks:
    """Recovers a link's signer once.

    Whether the link counts is for the caller to judge anew each time (`ledger.links`).

    Args:
        domain: EIP-712 domain of links.
        capacity: Links remembered at most.
    """

    def __init__(self, domain: Domain, capacity: int = USUAL_CAPACITY) -> None:
        self._domain = domain
        self._capacity = capacity
        self._signers: OrderedDict[tuple[SubjectLink, bytes], bytes] = OrderedDict()

    def signer(self, link: SubjectLink, signature: bytes) -> bytes:
        """Return the address of who signed a link.

        Raises:
            SigningError: No account can have made this signature.
        """
        key = (link, signature)
        known = self._signers.get(key)
        if known is not None:
            self._signers.move_to_end(key)
            return known
        found = recover(digest(link, self._domain), signature)
        self._signers[key] = found
        if len(self._signers) > self._capacity:
            self._signers.popitem(last=False)
        return found

"""Answer keys in memory, for what sends so much that a request book on disk would be the bottleneck."""

from ledger.api import KeyedSubmission
from ledger.crypto.hpke import DecryptionKey, Suite
from ledger.crypto.released_parts import REQUESTS_PER_KEY, make_nonce, nonce_word
from ledger.crypto.signatures import sign
from ledger.typed_data import AccessRequest, Domain, digest


class DrawnKeys:
    """The keys of one consumer: a new one for each `requests_per_key` requests.

    Args:
        domain: of access requests.
        consumer: its account.
        suite: of the keys.
        requests_per_key: 1 to 256.
    """

    def __init__(
        self,
        domain: Domain,
        consumer: bytes,
        *,
        suite: Suite = Suite.X25519,
        requests_per_key: int = REQUESTS_PER_KEY,
    ) -> None:
        self._domain = domain
        self._consumer = consumer
        self._suite = suite
        self._requests_per_key = requests_per_key
        self._keys: dict[int, DecryptionKey] = {}
        self._key, self._word, self._used = b"", 0, requests_per_key

    def next(self) -> tuple[int, bytes]:
        """Return a fresh nonce, and the key that it commits to."""
        if self._used == self._requests_per_key:
            drawn = DecryptionKey.generate(self._suite)
            self._key = drawn.encryption_key.to_bytes()
            self._word, self._used = nonce_word(self._domain, self._consumer, self._key), 0
            self._keys[self._word] = drawn
        self._used += 1
        return make_nonce(self._word, self._used - 1), self._key

    def submission(
        self,
        private_key: bytes,
        basis: bytes,
        *,
        fields: int,
        deadline: int,
        item: bytes = bytes(32),
    ) -> KeyedSubmission:
        """Sign a new request of the consumer."""
        nonce, key = self.next()
        request = AccessRequest(self._consumer, basis, item, fields, nonce, deadline)
        return KeyedSubmission(request, sign(digest(request, self._domain), private_key), key)

    def opening(self, nonce: int) -> DecryptionKey:
        return self._keys[nonce // REQUESTS_PER_KEY]

"""Gateway, chain, keyholders and identity authority as a provider sees them: in memory, honest, dumpable.

Lines are read and committed to with the real functions. `fail` names a call that is to go wrong, before
or after it took effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from ledger.api.uploads import UploadShown
from ledger.chain.events import DatasetTerms
from ledger.crypto.merkle import EMPTY_ROOT, TreeHead
from ledger.crypto.publications import PublicationRoot
from ledger.crypto.records import EncryptedRecord, WithdrawnRecord, decode_line
from ledger.crypto.secret_sharing import DatasetKeys
from wallet.client.errors import UnreachableError
from wallet.provider.description import KeyKind
from wallet.provider.services import Version

T = TypeVar("T")
Place = tuple[bytes, int]
Records = dict[Place, EncryptedRecord]


class Crash(BaseException):
    """The provider's process dies here."""


@dataclass
class FakeUpload:
    base: int
    lines: list[EncryptedRecord | WithdrawnRecord] = field(default_factory=list)
    version: int | None = None


@dataclass
class FakeServices:
    """Implements `wallet.provider.services.Services`."""

    registered: DatasetTerms
    published: list[TreeHead] = field(default_factory=list)
    """On chain, by version - 1."""
    served: dict[int, Records] = field(default_factory=dict)
    uploads: dict[str, FakeUpload] = field(default_factory=dict)
    transactions: dict[bytes, int] = field(default_factory=dict)
    bodies: list[int] = field(default_factory=list)
    """Lines of each body that arrived."""
    fail: tuple[str, int, bool, type[BaseException]] | None = None
    """Which call, the how-many-th of it, before (False) or after (True) its effect, with what."""
    calls: dict[str, int] = field(default_factory=dict)
    cut: int | None = None
    """How many lines of the next body arrive before the connection breaks."""

    def terms(self, dataset: bytes) -> DatasetTerms:
        return self._call("terms", lambda: self.registered)

    def newest(self, dataset: bytes) -> Version:
        head = self.published[-1] if self.published else TreeHead(0, EMPTY_ROOT)
        return self._call("newest", lambda: Version(len(self.published), head))

    def owners(self, dataset: bytes, kind: KeyKind, keys: Sequence[str]) -> list[bytes]:
        return self._call("owners", lambda: [owner_of(dataset, key) for key in keys])

    def keys(self, dataset: bytes) -> DatasetKeys:
        return self._call("keys", lambda: keys_of(dataset))

    def begin(self, dataset: bytes, base: int) -> str:
        def begin() -> str:
            name = f"upload-{len(self.uploads)}"
            self.uploads[name] = FakeUpload(base)
            return name

        return self._call("begin", begin)

    def state(self, upload: str) -> UploadShown | None:
        found = self.uploads.get(upload)
        state = (
            None
            if found is None
            else UploadShown(upload, "open", 0, len(found.lines), 0, None, None)
        )
        return self._call("state", lambda: state)

    def send(self, upload: str, start: int, lines: bytes) -> None:
        def send() -> None:
            found = self.uploads[upload]
            assert start == len(found.lines)
            received = [decode_line(line) for line in lines.splitlines()]
            cut, self.cut = self.cut, None
            found.lines += received[:cut]
            self.bodies.append(len(received))
            if cut is not None:
                raise UnreachableError("cut off")

        self._call("send", send)

    def seal(self, upload: str) -> TreeHead:
        return self._call("seal", lambda: head_of(self._version_of(self.uploads[upload])))

    def publish(
        self,
        dataset: bytes,
        head: TreeHead,
        base: int,
        manifest: bytes,
        raw: bytes | None,
        note: Callable[[bytes], None],
    ) -> int:
        signed = raw or b"transaction %d" % len(self.transactions)
        if raw is None:
            note(signed)

        def publish() -> int:
            if signed not in self.transactions:
                self.published.append(head)
                self.transactions[signed] = len(self.published)
            return self.transactions[signed]

        return self._call("publish", publish)

    def serve(self, upload: str, version: int) -> None:
        def serve() -> None:
            records = self._version_of(self.uploads[upload])
            assert head_of(records) == self.published[version - 1]
            self.served[version] = records

        self._call("serve", serve)

    def drop(self, upload: str) -> None:
        self._call("drop", lambda: self.uploads.pop(upload))

    def _version_of(self, upload: FakeUpload) -> Records:
        records = dict(self.served[upload.base]) if upload.base else {}
        for line in upload.lines:
            place = (line.owner, line.number)
            if isinstance(line, WithdrawnRecord):
                del records[place]
            else:
                records[place] = line
        return records

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        self.calls[name] = self.calls.get(name, 0) + 1
        failing = self.fail if self.fail and self.fail[:2] == (name, self.calls[name]) else None
        if failing and not failing[2]:
            raise failing[3](f"before {name}")
        result = effect()
        if failing:
            raise failing[3](f"after {name}")
        return result


def owner_of(dataset: bytes, key: str) -> bytes:
    return sha256(dataset + key.encode()).digest()


def keys_of(dataset: bytes) -> DatasetKeys:
    return DatasetKeys(1, dataset, tuple(sha256(bytes([place])).digest() for place in range(3)))


def head_of(records: Records) -> TreeHead:
    root = PublicationRoot()
    for place in sorted(records):
        root.add(records[place].entry())
    return root.head()

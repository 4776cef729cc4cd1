"""Whom a provider needs to publish: identity authority, keyholders, gateway, chain."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from ledger import contracts, queries
from ledger.custody import DatasetKeys, HolderSubkeys, Sharing, combine_subkeys, unpack
from ledger.errors import LedgerError
from ledger.events import DatasetTerms, EventDecoder, Published
from ledger.merkle import TreeHead
from ledger.sealing import OpeningKey, Purpose
from ledger.transactions import parse_transaction
from wallet.client import datasets, uploads
from wallet.client.errors import ClientError, NotFoundError
from wallet.client.identity import PersonKind, ask_owners
from wallet.client.keyholders import SealedSubkeys, ask_subkeys
from wallet.client.patience import patiently
from wallet.client.transactions import Ledger, Mined, NotFinalError, resume, transact
from wallet.client.transports import Client
from wallet.client.uploads import UploadState
from wallet.provider.description import KeyKind
from wallet.provider.errors import OwnersError, SubkeysError

_KINDS: Final = {
    KeyKind.RESIDENT: PersonKind.RESIDENT,
    KeyKind.ENTERPRISE: PersonKind.ENTERPRISE,
}


class Version(msgspec.Struct, frozen=True):
    """The newest publication of a dataset on chain; number zero for none."""

    number: int
    head: TreeHead


class Services(Protocol):
    """What publishing asks of others. Each call may be repeated."""

    def terms(self, dataset: bytes) -> DatasetTerms:
        """Return what is registered of a dataset."""

    def newest(self, dataset: bytes) -> Version:
        """Return the newest publication."""

    def owners(self, dataset: bytes, kind: KeyKind, keys: Sequence[str]) -> list[bytes]:
        """Return the owner of each key, in order."""

    def keys(self, dataset: bytes) -> DatasetKeys:
        """Return what the dataset's records are encrypted with."""

    def begin(self, dataset: bytes, base: int) -> str:
        """Begin an upload."""

    def state(self, upload: str) -> UploadState | None:
        """Return how far an upload has got; None when the gateway knows it no more."""

    def send(self, upload: str, start: int, lines: bytes) -> None:
        """Send lines; the first is the `start`-th."""

    def seal(self, upload: str) -> TreeHead:
        """End an upload; return what the gateway computes of it."""

    def publish(
        self,
        dataset: bytes,
        head: TreeHead,
        base: int,
        manifest: bytes,
        raw: bytes | None,
        note: Callable[[bytes], None],
    ) -> int:
        """Publish on chain, or send `raw` again; return the version. `note` comes before sending."""

    def serve(self, upload: str, version: int) -> None:
        """Have the gateway serve it."""

    def drop(self, upload: str) -> None:
        """Give an upload up."""


class RemoteServices:
    """The real ones, over HTTP.

    Args:
        client: signs as the dataset's provider.
        ledger: the contracts.
        opening: opens what keyholders seal to the provider.
        keyholders: their addresses.
    """

    def __init__(
        self, client: Client, ledger: Ledger, opening: OpeningKey, keyholders: Sequence[str]
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._opening = opening
        self._keyholders = tuple(keyholders)

    def terms(self, dataset: bytes) -> DatasetTerms:
        """Return what is registered of a dataset, from the own node if there is one."""
        return self._client.run(datasets.registered(self._ledger, dataset))

    def newest(self, dataset: bytes) -> Version:
        """Return the newest publication, from the own node if there is one."""
        number, head = self._client.run(datasets.newest_publication(self._ledger, dataset))
        return Version(number, head)

    def owners(self, dataset: bytes, kind: KeyKind, keys: Sequence[str]) -> list[bytes]:
        """Return the owner of each key, in order."""
        found = self._client.run(patiently(ask_owners(dataset, _KINDS[kind], keys)))
        if len(found) != len(keys):
            raise OwnersError(f"{len(found)} owners for {len(keys)} ids")
        owners = [owner for owner in found if owner is not None]
        if len(owners) != len(keys):
            raise OwnersError(f"the identity authority refuses {len(keys) - len(owners)} ids")
        return owners

    def keys(self, dataset: bytes) -> DatasetKeys:
        """Ask every keyholder, so that a wrong subkey shows; return what they combine to.

        Of the newest epoch on which more than half of them agree, with its threshold and members:
        amid a rotation some are further than others, and a single one could otherwise have a
        department encrypt under an "epoch" whose seeds it alone knows.
        """
        sealed, errors = [], []
        for keyholder in self._keyholders:
            try:
                sealed.append(self._client.run(patiently(ask_subkeys(keyholder, dataset))))
            except ClientError as error:
                errors.append(f"{keyholder}: {error}")
        if not sealed:
            raise SubkeysError("no keyholder gave its subkeys: " + "; ".join(errors))
        rosters = Counter((one.epoch, one.threshold, one.members) for one in sealed)
        agreed = [one for one, count in rosters.items() if 2 * count > len(self._keyholders)]
        if not agreed:
            raise SubkeysError(
                f"{len(sealed)} of {len(self._keyholders)} keyholders answer, and no more than half "
                f"agree about epoch and members; {'; '.join(errors)}".rstrip("; ")
            )
        roster = max(agreed)
        usable = [one for one in sealed if (one.epoch, one.threshold, one.members) == roster]
        return self._combine(dataset, usable, errors)

    def _combine(
        self, dataset: bytes, usable: Sequence[SealedSubkeys], errors: Sequence[str]
    ) -> DatasetKeys:
        try:
            handed = [self._open(dataset, one) for one in usable]
            sharing = Sharing(usable[0].threshold, len(usable[0].members))
            return combine_subkeys(sharing, handed)
        except LedgerError as error:
            raise SubkeysError(f"{error}; {'; '.join(errors)}") from error

    def begin(self, dataset: bytes, base: int) -> str:
        """Begin an upload."""
        return self._client.run(patiently(uploads.begin_upload(dataset, base))).upload

    def state(self, upload: str) -> UploadState | None:
        """Return how far an upload has got; None when the gateway knows it no more."""
        try:
            return self._client.run(patiently(uploads.upload_state(upload)))
        except NotFoundError:
            return None

    def send(self, upload: str, start: int, lines: bytes) -> None:
        """Send lines; not patiently: whoever sends asks first how far it got."""
        self._client.send(uploads.send_lines(upload, start, lines))

    def seal(self, upload: str) -> TreeHead:
        """End an upload; return what the gateway computes of it."""
        return self._client.run(patiently(uploads.seal_upload(upload)))

    def publish(
        self,
        dataset: bytes,
        head: TreeHead,
        base: int,
        manifest: bytes,
        raw: bytes | None,
        note: Callable[[bytes], None],
    ) -> int:
        """Publish on chain, or send `raw` again; return the version."""
        mined = None if raw is None else self._again(raw)
        if mined is None:
            call = contracts.publish(dataset, head.root, head.size, base, manifest)
            mined = self._client.run(transact(self._ledger, self._client.key, call, note=note))
        version = self._version(mined)
        if version is not None:
            return version
        return self._client.run(datasets.wait_for_publication(self._ledger, dataset, head))

    def serve(self, upload: str, version: int) -> None:
        """Have the gateway serve it."""
        self._client.run(patiently(uploads.serve_publication(upload, version)))

    def drop(self, upload: str) -> None:
        """Give an upload up."""
        try:
            self._client.run(patiently(uploads.drop_upload(upload)))
        except NotFoundError:
            return

    def _again(self, raw: bytes) -> Mined | None:
        """Send a transaction again; None when it can never be mined."""
        try:
            return self._client.run(resume(self._ledger, raw))
        except NotFinalError:
            signed = parse_transaction(raw)
            count = queries.transaction_count(signed.sender, self._ledger.finality.tag)
            if self._client.look(count) <= signed.content.nonce:
                raise
            return None  # its nonce went to another transaction

    def _open(self, dataset: bytes, sealed: SealedSubkeys) -> HolderSubkeys:
        plain = self._opening.open(sealed.sealed, Purpose.SUBKEYS, dataset)
        return unpack(plain, HolderSubkeys)

    def _version(self, mined: Mined) -> int | None:
        decoder = EventDecoder(self._ledger.deployment.contracts)
        for log in mined.logs or ():
            event = decoder.decode(log)
            if isinstance(event, Published):
                return event.version
        return None

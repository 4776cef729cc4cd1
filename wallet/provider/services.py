"""The parties of a publication: identity authority, keyholders, gateway, chain."""

from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from ledger.api.identity import PersonKind
from ledger.api.keyholder import SubkeysAnswer
from ledger.api.uploads import UploadShown
from ledger.chain import contract_calls, eth_methods
from ledger.chain.events import DatasetTerms, Published
from ledger.chain.events.decoder import EventDecoder
from ledger.chain.transactions import parse_transaction
from ledger.crypto.hpke import DecryptionKey, Purpose
from ledger.crypto.merkle import TreeHead
from ledger.crypto.released_parts import subkeys_digest
from ledger.crypto.secret_sharing import DatasetKeys, HolderSubkeys, Roster, combine_subkeys, unpack
from ledger.crypto.signatures import SIGNATURE_LENGTH, verify_signature
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import from_hex
from ledger.typed_data import AccessRequest
from wallet.client import datasets, uploads
from wallet.client.calls import look
from wallet.client.errors import ClientError, ErrorKind, ProblemError
from wallet.client.identity import ask_owners
from wallet.client.party import ChainAccess
from wallet.client.retry import with_retries
from wallet.client.transactions import Mined, resume, transact
from wallet.client.transports import Client
from wallet.client.uploads import ask_subkeys
from wallet.provider.description import KeyKind
from wallet.provider.errors import ProviderError

_KINDS: Final = {
    KeyKind.RESIDENT: PersonKind.RESIDENT,
    KeyKind.ENTERPRISE: PersonKind.ENTERPRISE,
}


class Version(msgspec.Struct, frozen=True):
    """The newest publication of a dataset on chain; number zero for none."""

    number: int
    head: TreeHead


class PublishingServices(Protocol):
    """Calls of publishing to the other parties. Each may be repeated."""

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

    def state(self, upload: str) -> UploadShown | None:
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
        self, client: Client, ledger: ChainAccess, opening: DecryptionKey, keyholders: Sequence[str]
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
        answered = self._client.run(with_retries(ask_owners(dataset, _KINDS[kind], keys)))
        if len(answered) != len(keys):
            raise ProviderError("Provider", f"{len(answered)} owners for {len(keys)} ids")
        owners = [owner for owner in answered if owner is not None]
        if len(owners) != len(keys):
            raise ProviderError(
                "Provider", f"the identity authority refuses {len(keys) - len(owners)} ids"
            )
        return owners

    def keys(self, dataset: bytes) -> DatasetKeys:
        """Ask every keyholder, so that a wrong subkey shows; return what they combine to.

        Of the newest epoch of the deployment file: by it gateways and consumers know the keyholders. What a
        keyholder says of members, threshold and epoch counts for nothing, and each member once.
        """
        rosters = self._ledger.deployment.rosters
        if not rosters:
            raise ProviderError(
                "Provider", "the deployment file has no roster: the seed ceremony was not held"
            )
        roster = rosters[-1]
        handed: dict[int, HolderSubkeys] = {}
        errors = []
        for keyholder in self._keyholders:
            try:
                asked = ask_subkeys(keyholder, dataset, roster.epoch)
                sealed = self._client.run(with_retries(asked))
                handed[sealed.holder] = self._open(roster, dataset, sealed)
            except (ClientError, LedgerError) as error:
                errors.append(f"{keyholder}: {error}")
        if len(handed) < roster.threshold:
            raise ProviderError(
                "Provider",
                f"{len(handed)} keyholders of epoch {roster.epoch} gave their subkeys, {roster.threshold} "
                f"are needed; {'; '.join(errors)}".rstrip("; "),
            )
        try:
            return combine_subkeys(roster.sharing, list(handed.values()))
        except LedgerError as error:
            raise ProviderError("Provider", f"{error}; {'; '.join(errors)}".rstrip("; ")) from error

    def begin(self, dataset: bytes, base: int) -> str:
        return self._client.run(with_retries(uploads.begin_upload(dataset, base))).upload

    def state(self, upload: str) -> UploadShown | None:
        """Return how far an upload has got; None when the gateway knows it no more."""
        try:
            return self._client.run(with_retries(uploads.upload_state(upload)))
        except ProblemError as error:
            if error.kind != ErrorKind.NOT_FOUND:
                raise
            return None

    def send(self, upload: str, start: int, lines: bytes) -> None:
        """Send lines; not patiently: whoever sends asks first how far it got."""
        self._client.run(uploads.send_lines(upload, start, lines))

    def seal(self, upload: str) -> TreeHead:
        """End an upload; return what the gateway computes of it."""
        return self._client.run(with_retries(uploads.seal_upload(upload)))

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
            call = contract_calls.publish(dataset, head.root, head.size, base, manifest)
            mined = self._client.run(transact(self._ledger, self._client.key, call, note=note))
        version = self._version(mined)
        if version is not None:
            return version
        return self._client.run(datasets.wait_for_publication(self._ledger, dataset, head))

    def serve(self, upload: str, version: int) -> None:
        self._client.run(with_retries(uploads.serve_publication(upload, version)))

    def drop(self, upload: str) -> None:
        try:
            self._client.run(with_retries(uploads.drop_upload(upload)))
        except ProblemError as error:
            if error.kind != ErrorKind.NOT_FOUND:
                raise

    def _again(self, raw: bytes) -> Mined | None:
        """Send a transaction again; None when it can never be mined."""
        try:
            return self._client.run(resume(self._ledger, raw))
        except ClientError as error:
            if error.kind != ErrorKind.NOT_FINAL:
                raise
            signed = parse_transaction(raw)
            count = eth_methods.transaction_count(signed.sender, self._ledger.finality.tag)
            if self._client.run(look(count)) <= signed.content.nonce:
                raise
            return None  # its nonce went to another transaction

    def _open(self, roster: Roster, dataset: bytes, answer: SubkeysAnswer) -> HolderSubkeys:
        """Return a member's subkeys, after checking that it is that member and that they are its own.

        Raises:
            LedgerError: They are not.
        """
        holder = answer.holder
        try:
            sealed = b64decode(answer.sealed, validate=True)
        except ValueError as error:
            raise MalformedError("the subkeys are not base64") from error
        if not 1 <= holder <= len(roster.members):
            raise MalformedError(f"there is no keyholder {holder}")
        domain = self._ledger.deployment.domain_of(AccessRequest)
        digest = subkeys_digest(roster.digest(), dataset, self._address(), sealed, domain)
        signature = from_hex(answer.signature, SIGNATURE_LENGTH)
        verify_signature(digest, signature, roster.members[holder - 1])
        plain = self._opening.open(sealed, Purpose.SUBKEYS, dataset)
        own = unpack(plain, HolderSubkeys)
        if (own.holder, own.epoch, own.dataset) != (holder, roster.epoch, dataset):
            raise MalformedError(
                "the subkeys are not the keyholder's own of this epoch and dataset"
            )
        return own

    def _address(self) -> bytes:
        if self._client.key is None:
            raise ClientError(
                "keyholders hand subkeys to the dataset's provider: name its key", ErrorKind.NO_KEY
            )
        return self._client.key.address

    def _version(self, mined: Mined) -> int | None:
        decoder = EventDecoder(self._ledger.deployment.contracts)
        for log in mined.logs or ():
            event = decoder.decode(log)
            if isinstance(event, Published):
                return event.version
        return None

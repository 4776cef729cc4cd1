"""Calls by which a provider hands over a publication's ciphertext, and asks keyholders for subkeys."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from ledger.crypto.merkle import TreeHead
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.hexstr import from_hex, to_hex
from wallet.client.calls import NDJSON, Answer, Credential, HttpCall, nothing, path, reader

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0)]


class Begun(msgspec.Struct, frozen=True):
    """An upload that was begun."""

    upload: str
    received: Count


class UploadState(msgspec.Struct, frozen=True):
    """How far an upload has got."""

    state: str
    received: Count
    """Lines that the gateway has for good."""


class _Sealed(msgspec.Struct):
    root: str
    count: Count


def begin_upload(dataset: bytes, base: int) -> HttpCall[Begun]:
    """Begin an upload; `base` is the version that it changes, zero for all records."""
    where = path("/v1/datasets/{}/uploads", dataset)
    return _post(where, msgspec.json.encode({"base": base}), reader(Begun))


def upload_state(upload: str) -> HttpCall[UploadState]:
    """Ask how far an upload has got."""
    where = path("/v1/uploads/{}", upload)
    return HttpCall("GET", where, reader(UploadState), credential=Credential.SIGNATURE)


def send_lines(upload: str, start: int, lines: bytes) -> HttpCall[None]:
    """Send lines; the first of them is the upload's `start`-th, counted from 0."""
    where = path("/v1/uploads/{}/lines", upload, **{"from": start})
    return HttpCall(
        "PUT",
        where,
        nothing,
        body=lines,
        content_type=NDJSON,
        credential=Credential.SIGNATURE,
    )


def seal_upload(upload: str) -> HttpCall[TreeHead]:
    """End an upload: the gateway computes count and root of the version that it makes."""
    return _post(path("/v1/uploads/{}/seal", upload), b"", _head)


def serve_publication(upload: str, version: int) -> HttpCall[None]:
    """Have a sealed upload served as a version that is on chain."""
    body = msgspec.json.encode({"version": version})
    return _post(path("/v1/uploads/{}/publish", upload), body, nothing)


def drop_upload(upload: str) -> HttpCall[None]:
    """Give an upload up."""
    where = path("/v1/uploads/{}", upload)
    return HttpCall("DELETE", where, nothing, credential=Credential.SIGNATURE)


def report_erasure(dataset: bytes, number: int, transaction: bytes) -> HttpCall[None]:
    """Have a record's salt and ciphertext destroyed, after its tombstone is on chain."""
    body = {"number": number, "transaction": to_hex(transaction)}
    where = path("/v1/datasets/{}/erasures", dataset)
    return _post(where, msgspec.json.encode(body), nothing)


def _head(answer: Answer) -> TreeHead:
    found = msgspec.json.decode(answer.body, type=_Sealed)
    return TreeHead(found.count, from_hex(found.root, 32))


def _post(where: str, body: bytes, read: Callable[[Answer], T]) -> HttpCall[T]:
    return HttpCall("POST", where, read, body=body, credential=Credential.SIGNATURE)


PositiveCount = Annotated[int, msgspec.Meta(ge=1)]


class SealedSubkeys(msgspec.Struct, frozen=True):
    """A keyholder's subkeys for a dataset, sealed to the dataset's provider."""

    holder: int
    """The keyholder's number, from 1."""
    epoch: int
    sealed: bytes
    signature: bytes
    """By the keyholder (`ledger.crypto.released_parts.subkeys_digest`)."""


class _Subkeys(msgspec.Struct):
    holder: PositiveCount
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    sealed: bytes
    signature: str


class _SubkeysBody(msgspec.Struct):
    dataset: str
    epoch: int


_answers = msgspec.json.Decoder(_Subkeys)


def ask_subkeys(keyholder: str, dataset: bytes, epoch: int) -> HttpCall[SealedSubkeys]:
    """Ask a keyholder for its subkeys for a dataset; the dataset's provider only.

    Args:
        keyholder: its base address.
        dataset: 32 bytes.
        epoch: whose seeds.
    """
    return HttpCall(
        "POST",
        "/v1/subkeys",
        _subkeys,
        service=keyholder,
        body=msgspec.json.encode(_SubkeysBody(to_hex(dataset), epoch)),
        credential=Credential.SIGNATURE,
    )


def _subkeys(answer: Answer) -> SealedSubkeys:
    found = _answers.decode(answer.body)
    signature = from_hex(found.signature, SIGNATURE_LENGTH)
    return SealedSubkeys(found.holder, found.epoch, found.sealed, signature)

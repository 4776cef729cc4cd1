"""Calls by which a provider hands over a publication's ciphertext, and asks keyholders for subkeys."""

from ledger.api.keyholder import SubkeysAnswer, SubkeysRequest
from ledger.api.uploads import (
    ErasureWanted,
    PublishWanted,
    Sealed,
    UploadBegun,
    UploadShown,
    UploadWanted,
)
from ledger.crypto.merkle import TreeHead
from ledger.hexstr import from_hex
from wallet.client.calls import (
    NDJSON,
    Answer,
    Credential,
    HttpCall,
    nothing,
    path,
    reader,
    signed_get,
    signed_post,
)

_sealed = reader(Sealed)


def begin_upload(dataset: bytes, base: int) -> HttpCall[UploadBegun]:
    """Begin an upload; `base` is the version that it changes, zero for all records."""
    where = path("/v1/datasets/{}/uploads", dataset)
    return signed_post(where, UploadWanted(base=base), reader(UploadBegun))


def upload_state(upload: str) -> HttpCall[UploadShown]:
    """Ask how far an upload has got; `received` lines the gateway has for good."""
    return signed_get(path("/v1/uploads/{}", upload), reader(UploadShown))


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
    return signed_post(path("/v1/uploads/{}/seal", upload), None, _head)


def serve_publication(upload: str, version: int) -> HttpCall[None]:
    """Have a sealed upload served as a version that is on chain."""
    where = path("/v1/uploads/{}/publish", upload)
    return signed_post(where, PublishWanted(version=version), nothing)


def drop_upload(upload: str) -> HttpCall[None]:
    """Give an upload up."""
    where = path("/v1/uploads/{}", upload)
    return HttpCall("DELETE", where, nothing, credential=Credential.SIGNATURE)


def report_erasure(dataset: bytes, number: int, transaction: bytes) -> HttpCall[None]:
    """Have a record's salt and ciphertext destroyed, after its tombstone is on chain."""
    body = ErasureWanted(number=number, transaction=transaction)
    return signed_post(path("/v1/datasets/{}/erasures", dataset), body, nothing)


def ask_subkeys(keyholder: str, dataset: bytes, epoch: int) -> HttpCall[SubkeysAnswer]:
    """Ask a keyholder for its subkeys for a dataset; the dataset's provider only.

    Args:
        keyholder: its base address.
        dataset: 32 bytes.
        epoch: whose seeds.
    """
    body = SubkeysRequest(dataset=dataset, epoch=epoch)
    return signed_post("/v1/subkeys", body, reader(SubkeysAnswer), keyholder)


def _head(answer: Answer) -> TreeHead:
    sealed = _sealed(answer)
    return TreeHead(sealed.count, from_hex(sealed.root, 32))

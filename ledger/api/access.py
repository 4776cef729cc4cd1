"""Consumer and gateway: `POST /v1/accesses`.

    {"request": {...}, "signature": "0x...", "key": "0x..."}     one, or up to `MAX_ACCESSES`:
    {"keys": ["0x...", ...], "requests": [{"request", "signature", "key": place in keys}, ...]}
    and in both, where the gateway lacks them,
    "consents": [{"authorization": {...}, "link": {...}, "link_signature": "0x..."}, ...]

    {"access": {"id", "digest", "sequence", "outcome", <the request's members>, "block_number", "block_hash",
                "timestamp", "transaction", "log_index"},
     "release": {"dataset", "publication", "root", "count", "records": [...], "proof": {...},
                 "keys": [{"holder": "0x...", "sealed": "<base64>", "signed": "<base64>"}, ...]} | null,
     "problem": {"type", "title", "status", "detail"} | null}    or {"results": [<such>, ...]}

Writing is split, so that what stays the same for many accesses is written once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from ledger.api import (
    HASH,
    MAX_ACCESSES,
    AccessResult,
    Consent,
    HeldKeys,
    KeyedSubmission,
    RecordedAccess,
    Refusal,
    Release,
    Submissions,
    TooManyAccessesError,
    encoder,
    parse,
    read_link,
    read_proof,
    read_records,
)
from ledger.crypto.merkle import TreeHead
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import ADDRESS_LENGTH, from_hex, to_hex
from ledger.jsonio import parse_json
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    JsonScalar,
    record_from_object,
    record_to_object,
    struct_hash,
)

_MEMBERS: Final = ("consumer", "basis", "item", "fields", "nonce", "deadline")
_NAMES_OF_ONE: Final = 3 + len(_MEMBERS)
"""Names of members in one signed request with its key."""
_NAMES_OF_LIST: Final = 2


# What is asked


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    request: dict[str, JsonScalar]
    signature: str
    key: Annotated[int, msgspec.Meta(ge=0)]
    """Place of the answer's key among the body's `keys`."""


class _Consent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    authorization: dict[str, JsonScalar]
    link: dict[str, JsonScalar] | None = None
    link_signature: str | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    request: dict[str, JsonScalar] | None = None
    signature: str | None = None
    key: str | None = None
    keys: list[str] | None = None
    requests: list[_Signed] | None = None
    consents: list[_Consent] | None = None


_bodies = msgspec.json.Decoder(_Body)


def encode_submissions(submissions: Submissions) -> bytes:
    """Write signed requests as the body of `POST /v1/accesses`; each key and consent stands in it once.

    `MalformedError` for none at all, or `single` with more than one.
    """
    places: dict[bytes, int] = {}
    signed = [
        _Signed(
            record_to_object(submission.request),
            to_hex(submission.signature),
            places.setdefault(submission.key, len(places)),
        )
        for submission in submissions.submissions
    ]
    keys = [to_hex(key) for key in places]
    brought = {
        submission.request.basis: _consent_text(submission.consent)
        for submission in submissions.submissions
        if submission.consent is not None
    }
    consents = list(brought.values()) or None
    if not submissions.single and signed:
        return encoder.encode(_Body(keys=keys, requests=signed, consents=consents))
    if len(signed) != 1:
        raise MalformedError(f"{len(signed)} accesses where one is meant")
    return encoder.encode(_Body(signed[0].request, signed[0].signature, keys[0], consents=consents))


def decode_submissions(body: bytes) -> Submissions:
    """Read the body of `POST /v1/accesses`.

    Raises:
        TooManyAccessesError: More than `MAX_ACCESSES`.
        MalformedError: Not JSON of this form, a member given twice, no request at all, or one
            without a key.
    """
    parsed = parse(_bodies, body)
    signed, keys, single = _signed(parsed)
    if len(signed) > MAX_ACCESSES:
        raise TooManyAccessesError(len(signed))
    if len(keys) > len(signed):
        raise MalformedError("more keys than requests")
    consents = parsed.consents or ()
    if len(consents) > len(signed):
        raise MalformedError("more consents than requests")
    # No valid value but a statement holds a colon. So this many of them are this many members, each there once.
    names = len(signed) * _NAMES_OF_ONE + (0 if single else _NAMES_OF_LIST)
    try:
        if consents or body.count(b":") != names:
            parse_json(body)  # refuses repeats; the fast decoder takes the last of two equal keys
        known = [from_hex(key) for key in keys]
        brought = dict(map(_consent, consents))
        return Submissions(
            tuple([_submission(request, known, brought) for request in signed]), single
        )
    except LedgerError as error:
        raise MalformedError(str(error)) from error


def _signed(body: _Body) -> tuple[Sequence[_Signed], Sequence[str], bool]:
    alone = (body.request, body.signature, body.key)
    if body.requests and body.keys:
        if alone == (None, None, None):
            return body.requests, body.keys, False
    elif body.requests is None and body.keys is None:
        request, signature, key = alone
        if request is not None and signature is not None and key is not None:
            return (_Signed(request, signature, 0),), (key,), True
    raise MalformedError("needs a request with its signature and key, or a list of such with keys")


def _submission(
    signed: _Signed, keys: Sequence[bytes], consents: Mapping[bytes, Consent]
) -> KeyedSubmission:
    if signed.key >= len(keys):
        raise MalformedError(f"there is no key {signed.key}")
    request = record_from_object(AccessRequest, signed.request)
    signature = from_hex(signed.signature, SIGNATURE_LENGTH)
    return KeyedSubmission(request, signature, keys[signed.key], consents.get(request.basis))


def _consent(text: _Consent) -> tuple[bytes, Consent]:
    """Return the id of what a consent authorizes, and the consent."""
    record = record_from_object(Authorization, text.authorization)
    link = read_link(text.link, text.link_signature, SIGNATURE_LENGTH)
    return struct_hash(record), Consent(record, link)


def _consent_text(consent: Consent) -> _Consent:
    link = consent.link
    return _Consent(
        authorization=record_to_object(consent.authorization),
        link=None if link is None else record_to_object(link.link),
        link_signature=None if link is None else to_hex(link.signature),
    )


# What is answered


class _Access(msgspec.Struct):
    id: str
    digest: str
    sequence: int
    outcome: int
    consumer: str
    basis: str
    item: str
    fields: JsonScalar
    nonce: JsonScalar
    deadline: JsonScalar
    block_number: int
    block_hash: str
    timestamp: int
    transaction: str
    log_index: int


class _Keys(msgspec.Struct):
    holder: str
    sealed: bytes
    signed: bytes


class _Release(msgspec.Struct):
    dataset: str
    publication: int
    root: str
    count: int
    records: msgspec.Raw
    proof: msgspec.Raw
    keys: list[_Keys]


class _Result(msgspec.Struct):
    access: _Access | None
    release: msgspec.Raw
    problem: Refusal | None


class _Results(msgspec.Struct):
    results: list[_Result]


_result = msgspec.json.Decoder(_Result)
_results = msgspec.json.Decoder(_Results)
_releases = msgspec.json.Decoder(_Release | None)


def encode_release(
    dataset: bytes,
    publication: int,
    head: TreeHead,
    *,
    records: bytes,
    proof: bytes,
    keys: Iterable[HeldKeys],
) -> bytes:
    """Write what an allowed access opens, of records from `encode_excerpts` and a proof from `encode_proof`."""
    return encoder.encode(
        _Release(
            dataset=to_hex(dataset),
            publication=publication,
            root=to_hex(head.root),
            count=head.size,
            records=msgspec.Raw(records),
            proof=msgspec.Raw(proof),
            keys=[_Keys(to_hex(held.holder), held.sealed, held.signed) for held in keys],
        )
    )


def encode_result(
    access: tuple[AccessRequest, bytes, RecordedAccess] | None,
    release: bytes | None = None,
    problem: Refusal | None = None,
) -> bytes:
    """Write one result: the request, its digest and what the chain has (None when nothing was recorded).

    With the release from `encode_release`, or the problem for which there is none.
    """
    message = None
    if access is not None:
        request, digest, recorded = access
        members: dict[str, Any] = record_to_object(request)
        message = _Access(
            id=to_hex(recorded.access),
            digest=to_hex(digest),
            sequence=recorded.sequence,
            outcome=recorded.outcome,
            block_number=recorded.block_number,
            block_hash=to_hex(recorded.block_hash),
            timestamp=recorded.timestamp,
            transaction=to_hex(recorded.transaction),
            log_index=recorded.log_index,
            **members,
        )
    return encoder.encode(_Result(message, msgspec.Raw(release or b"null"), problem))


def encode_results(results: Iterable[bytes]) -> bytes:
    """Write the answer to a list of requests from what `encode_result` wrote."""
    return b'{"results":[' + b",".join(results) + b"]}"


def decode_result(body: bytes) -> AccessResult:
    """Read the answer to one request; `MalformedError` if it is not of this form."""
    return _checked(parse(_result, body))


def decode_results(body: bytes) -> tuple[AccessResult, ...]:
    """Read the answer to a list of requests, in their order. Raises as `decode_result`."""
    return tuple([_checked(result) for result in parse(_results, body).results])


def _checked(result: _Result) -> AccessResult:
    try:
        release = parse(_releases, result.release)
        received = None if release is None else _received(release)
        if result.access is None:
            return AccessResult(None, None, None, None, result.problem)
        access = result.access
        recorded = RecordedAccess(
            access=from_hex(access.id, HASH),
            sequence=access.sequence,
            outcome=access.outcome,
            block_number=access.block_number,
            block_hash=from_hex(access.block_hash, HASH),
            timestamp=access.timestamp,
            transaction=from_hex(access.transaction, HASH),
            log_index=access.log_index,
        )
        request = record_from_object(
            AccessRequest, {name: getattr(access, name) for name in _MEMBERS}
        )
        digest = from_hex(access.digest, HASH)
    except LedgerError as error:
        raise MalformedError(str(error)) from error
    return AccessResult(request, digest, recorded, received, result.problem)


def _received(release: _Release) -> Release:
    keys = [
        HeldKeys(from_hex(keys.holder, ADDRESS_LENGTH), keys.sealed, keys.signed)
        for keys in release.keys
    ]
    return Release(
        dataset=from_hex(release.dataset, HASH),
        publication=release.publication,
        head=TreeHead(release.count, from_hex(release.root, HASH)),
        records=read_records(release.records),
        proof=read_proof(release.proof),
        keys=tuple(keys),
    )

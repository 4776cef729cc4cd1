"""Gateway and keyholder: `POST /v1/releases`.

    {"accesses": [{"request": {...}, "signature": "0x...", "key": "0x...", "block_number": 12, "transaction": "0x...", "log_index": 0,
                   "dataset": "0x...", "publication": 3, "records": [...], "proof": {...},
                   "link": {...} | null, "link_signature": "0x..." | null,
                   "authorization": {...}, only where it was asked for}, ...]}
    {"results": [{"sealed": "<base64>", "signed": "<base64>"}, {"problem": {"type", "title", "status", "detail"}}, ...]}

Writing is split, so that what stays the same for many accesses is written once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from pydantic import Field

from ledger.api import (
    HASH,
    MAX_ACCESSES,
    KeyedSubmission,
    Location,
    Refusal,
    ReleaseTask,
    SealedParts,
    SignedLink,
    TooManyAccessesError,
    encode_excerpts,
    encoder,
    parse,
    read_link,
    read_proof,
    read_records,
)
from ledger.api.forms import Body, Count, Hash
from ledger.crypto.records import EncryptedRecord
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.errors import LedgerError, MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    JsonScalar,
    record_from_object,
    record_to_object,
)


class _Task(msgspec.Struct, forbid_unknown_fields=True):
    request: dict[str, JsonScalar]
    signature: str
    key: str
    block_number: int
    transaction: str
    log_index: int
    dataset: str
    publication: int
    records: msgspec.Raw
    proof: msgspec.Raw
    link: dict[str, JsonScalar] | None
    link_signature: str | None
    authorization: dict[str, JsonScalar] | msgspec.UnsetType = msgspec.UNSET


class _Tasks(msgspec.Struct, forbid_unknown_fields=True):
    accesses: list[_Task]


class _Answer(msgspec.Struct, omit_defaults=True):
    sealed: bytes | None = None
    signed: bytes | None = None
    problem: Refusal | None = None


class _Answers(msgspec.Struct):
    results: list[_Answer]


MAX_TEXT: Final = 500
"""Characters of each text of a keyholder's refusal; the rest is left out."""

_tasks = msgspec.json.Decoder(_Tasks)
_answers = msgspec.json.Decoder(_Answers)


def encode_bare_records(records: Iterable[EncryptedRecord]) -> bytes:
    """Write records without their ciphertexts, as `encode_task` takes them."""
    return encode_excerpts([record.excerpt(()) for record in records])


def encode_task(
    submission: KeyedSubmission,
    location: Location,
    *,
    dataset: bytes,
    publication: int,
    records: bytes,
    proof: bytes,
    link: SignedLink | None,
) -> bytes:
    """Write one task, of records from `encode_bare_records` and a proof from `encode_proof`."""
    return encoder.encode(
        _Task(
            request=record_to_object(submission.request),
            signature=to_hex(submission.signature),
            key=to_hex(submission.key),
            block_number=location.block_number,
            transaction=to_hex(location.transaction),
            log_index=location.log_index,
            dataset=to_hex(dataset),
            publication=publication,
            records=msgspec.Raw(records),
            proof=msgspec.Raw(proof),
            link=None if link is None else record_to_object(link.link),
            link_signature=None if link is None else to_hex(link.signature),
        )
    )


def with_authorization(task: bytes, authorization: Authorization) -> bytes:
    """Return what `encode_task` wrote, with the basis as the person signed it."""
    record = encoder.encode(record_to_object(authorization))
    return task.removesuffix(b"}") + b',"authorization":' + record + b"}"


def encode_tasks(tasks: Iterable[bytes]) -> bytes:
    """Write the body of the question from what `encode_task` wrote."""
    return b'{"accesses":[' + b",".join(tasks) + b"]}"


def decode_tasks(body: bytes) -> tuple[ReleaseTask, ...]:
    """Read the question.

    Raises:
        TooManyAccessesError: More than `MAX_ACCESSES`.
        MalformedError: Not of this form.
    """
    tasks = parse(_tasks, body).accesses
    if len(tasks) > MAX_ACCESSES:
        raise TooManyAccessesError(len(tasks))
    try:
        return tuple([_task(task) for task in tasks])
    except LedgerError as error:
        raise MalformedError(str(error)) from error


def encode_answers(answers: Iterable[SealedParts | Refusal]) -> bytes:
    """Write a keyholder's answers, in the order of the tasks."""
    messages = [
        _Answer(answer.sealed, answer.signed)
        if isinstance(answer, SealedParts)
        else _Answer(problem=answer)
        for answer in answers
    ]
    return encoder.encode(_Answers(messages))


def decode_answers(body: bytes, count: int) -> tuple[SealedParts | Refusal, ...]:
    """Read a keyholder's answers to `count` tasks; `MalformedError` if they are not one for each."""
    answers = parse(_answers, body).results
    if len(answers) != count:
        raise MalformedError(f"{len(answers)} answers to {count} tasks")
    return tuple([_answer(answer) for answer in answers])


def _task(task: _Task) -> ReleaseTask:
    request = record_from_object(AccessRequest, task.request)
    return ReleaseTask(
        submission=KeyedSubmission(
            request, from_hex(task.signature, SIGNATURE_LENGTH), from_hex(task.key)
        ),
        location=Location(task.block_number, from_hex(task.transaction, HASH), task.log_index),
        dataset=from_hex(task.dataset, HASH),
        publication=task.publication,
        records=read_records(task.records),
        proof=read_proof(task.proof),
        link=read_link(task.link, task.link_signature),
        authorization=_authorization(task),
    )


def _authorization(task: _Task) -> Authorization | None:
    if isinstance(task.authorization, msgspec.UnsetType):
        return None
    return record_from_object(Authorization, task.authorization)


def _cut(problem: Refusal) -> Refusal:
    """Cut texts that are longer than anybody's who means well: they go on to logs and to the consumer."""
    type_, title, detail = (
        text[:MAX_TEXT] for text in (problem.type, problem.title, problem.detail)
    )
    return Refusal(type_, title, problem.status, detail)


def _answer(answer: _Answer) -> SealedParts | Refusal:
    sealed, signed = answer.sealed, answer.signed
    if sealed is not None and signed is not None and answer.problem is None:
        return SealedParts(sealed, signed)
    if answer.problem is not None and sealed is None and signed is None:
        return _cut(answer.problem)
    raise MalformedError(
        "an answer is either sealed parts with what was signed of them, or a problem"
    )


# Subkeys, and what a keyholder says of itself


class SubkeysRequest(Body):
    """A provider wants the subkeys of its dataset."""

    dataset: Hash
    epoch: Annotated[int, Field(ge=0, lt=2**32)] | None = None


@dataclass(frozen=True, slots=True)
class SubkeysAnswer:
    """A dataset's subkeys of one keyholder."""

    holder: Annotated[int, msgspec.Meta(ge=1)]
    """The keyholder's number in the epoch's roster."""
    address: str
    epoch: Count
    threshold: int
    members: tuple[str, ...]
    """Addresses of the epoch's keyholders, by number."""
    sealed: str
    """`ledger.crypto.secret_sharing.HolderSubkeys`, sealed to the provider (purpose subkeys, context the dataset);
    base64."""
    signature: str
    """By the keyholder's account (`ledger.crypto.released_parts.subkeys_digest`)."""


@dataclass(frozen=True, slots=True)
class EpochDescription:
    """One epoch of a keyholder."""

    epoch: int
    number: int
    threshold: int
    members: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class BlockDescription:
    """A block of the keyholder's own node."""

    number: int
    hash: str
    timestamp: int
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class HolderDescription:
    """A keyholder."""

    address: str
    encryption_key: str
    epochs: tuple[EpochDescription, ...]
    release_window: int
    """Seconds after its block in which an access is released."""
    head_age: int
    """Seconds that the newest final block may be apart from the clock."""
    block: BlockDescription | None
    """The newest final block that is known."""
    problem: str | None
    """Why nothing is released now."""
    identity_authorities: tuple[str, ...]
    """Those pinned here, whose links count."""
    unpinned: tuple[str, ...]
    """Active on chain and not pinned here: a rotation that the keyholder has to hear of, or a false one."""
    signature: str | None = None
    """By the keyholder's account over the nonce that was sent along."""

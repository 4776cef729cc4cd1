"""What can be said to the contracts: each function returns the call to send, its texts checked to be plain."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError, EncodingError

from ledger.artifacts import AbiItem, AbiParameter, ContractName, load_artifact
from ledger.chain.decoders import decode_abi
from ledger.chain.events import DatasetTerms, GrantTerms, OrderTerms, PurposeTerms
from ledger.errors import MalformedError
from ledger.hexstr import keccak256
from ledger.model import ZERO_ADDRESS, ZERO_WORD, Change, Class, Roles, VoidGround
from ledger.plain_text import PlainTextError, verify_document, verify_name, verify_optional_text
from ledger.typed_data import (
    AccessRequest,
    Authorization,
    ConfidentialityAgreement,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectOpening,
)

_SELECTOR: Final = 4
_RECORD: Final = "record((address,(bytes32,uint256,uint256,uint256,bytes32)[])[])"
_RECORD_SELECTOR: Final = keccak256(_RECORD.encode("ascii"))[:_SELECTOR]
_WORD: Final = 32
_ADDRESS_AT: Final = 12
_REQUEST_LENGTH: Final = 5 * _WORD


@dataclass(frozen=True, slots=True)
class ContractCall:
    """A call of one of the system's contracts: which one, and the call data."""

    contract: ContractName
    data: bytes


class Approval(msgspec.Struct, frozen=True):
    """Who signs for a subject (ERC-7913 bytes), and the signature over the record's digest."""

    signer: bytes
    signature: bytes


# Registry


def admit(party: bytes, roles: Roles, name: str) -> ContractCall:
    """Admit a party with exactly these roles; the authority.

    Announced only when the party gets a role that is vetoed: regulator, identity authority.
    """
    return _call("Registry", "admit", party, int(roles), name)


def activate(party: bytes) -> ContractCall:
    """Make an announced admission take effect once it is due; anyone."""
    return _call("Registry", "activate", party)


def veto_admission(party: bytes, reason: str) -> ContractCall:
    """Stop an announced admission; a regulator, or one withdrawn a short while ago."""
    return _call("Registry", "vetoAdmission", party, reason)


def retract_admission(party: bytes) -> ContractCall:
    """Take an announced admission back; the authority."""
    return _call("Registry", "retractAdmission", party)


def withdraw(party: bytes) -> ContractCall:
    """Withdraw a party; the authority."""
    return _call("Registry", "withdraw", party)


def announce_change(change: Change, first: bytes, second: bytes = ZERO_ADDRESS) -> ContractCall:
    """Announce a change (`Change` says of whom); the authority."""
    return _call("Registry", "announceChange", change, first, second)


def make_change(change: Change, first: bytes, second: bytes = ZERO_ADDRESS) -> ContractCall:
    """Make an announced change once it is due; the next authority itself, else anyone."""
    return _call("Registry", "makeChange", change, first, second)


def veto_change(change: Change, first: bytes, second: bytes, reason: str) -> ContractCall:
    """Stop an announced change; a regulator, or one withdrawn a short while ago."""
    return _call("Registry", "vetoChange", change, first, second, reason)


def retract_change(change: Change, first: bytes, second: bytes = ZERO_ADDRESS) -> ContractCall:
    """Take an announced change back, never a hand-over; the authority."""
    return _call("Registry", "retractChange", change, first, second)


def name_recorder(recorder: bytes) -> ContractCall:
    """Let a recorder record the caller's requests, at once; a consumer."""
    return _call("Registry", "nameRecorder", recorder)


def dismiss_recorder(recorder: bytes) -> ContractCall:
    """Take a naming back, at once; a consumer."""
    return _call("Registry", "dismissRecorder", recorder)


def set_encryption_key(key: bytes) -> ContractCall:
    """Set the caller's HPKE public key: one suite byte, then the key (`ledger.crypto.hpke`)."""
    return _call("Registry", "setEncryptionKey", key)


def restrict(consumer: bytes, until: int, reason: str) -> ContractCall:
    """Deny every access of a consumer until a time; a regulator."""
    return _call("Registry", "restrict", consumer, until, reason)


def appeal(statement: str) -> ContractCall:
    """Appeal against a restriction; the restricted consumer."""
    return _call("Registry", "appeal", statement)


def lift(consumer: bytes, reason: str) -> ContractCall:
    """End a restriction before its time; a regulator."""
    return _call("Registry", "lift", consumer, reason)


def announce(name: str, deployed: bytes) -> ContractCall:
    """Announce where a contract is deployed; the authority."""
    return _call("Registry", "announce", name, deployed)


# Catalogue


def register_dataset(terms: DatasetTerms) -> ContractCall:
    """Register the caller's dataset; a provider."""
    return _call("Catalogue", "registerDataset", msgspec.structs.astuple(terms))


def reclassify(
    dataset: bytes, sharing: Class, open_class: Class, grade: int, reason: str
) -> ContractCall:
    """Change a dataset's classes and grade; its provider."""
    return _call("Catalogue", "reclassify", dataset, sharing, open_class, grade, reason)


def withdraw_dataset(dataset: bytes, reason: str) -> ContractCall:
    """Withdraw a dataset for good; its provider."""
    return _call("Catalogue", "withdrawDataset", dataset, reason)


def publish(
    dataset: bytes, root: bytes, count: int, base: int = 0, manifest: bytes = ZERO_WORD
) -> ContractCall:
    """Publish a dataset's next version; its provider.

    Args:
        dataset: its id.
        root: of the whole version, also of a delta.
        count: records in the whole version.
        base: the version that the upload changes; zero when it carries all records.
        manifest: SHA-256 of the quality report, or zeros.
    """
    return _call("Catalogue", "publish", dataset, root, count, base, manifest)


def erase(dataset: bytes, item: bytes, version: int) -> ContractCall:
    """Set the tombstone of a record that was destroyed; the dataset's provider."""
    return _call("Catalogue", "erase", dataset, item, version)


def issue_order(terms: OrderTerms) -> ContractCall:
    """Issue an emergency order; the authority."""
    return _call("Catalogue", "issueOrder", msgspec.structs.astuple(terms))


def countersign_order(order: bytes) -> ContractCall:
    """Put an order that opens in force; a regulator."""
    return _call("Catalogue", "countersignOrder", order)


def end_order(order: bytes, reason: str) -> ContractCall:
    """End an order before its time; the authority, a regulator, or the provider if it opens."""
    return _call("Catalogue", "endOrder", order, reason)


def review_order(order: bytes, findings: str) -> ContractCall:
    """Review an order that is over; a regulator."""
    return _call("Catalogue", "reviewOrder", order, findings)


# Agreements


def register_purpose(terms: PurposeTerms) -> ContractCall:
    """Register a purpose; the authority."""
    return _call("Agreements", "registerPurpose", _purpose(terms))


def bind_fields(purpose: bytes, dataset: bytes, fields: int) -> ContractCall:
    """Set, once, which fields of a dataset a purpose may ever use; the authority."""
    return _call("Agreements", "bindFields", purpose, dataset, fields)


def retire_purpose(purpose: bytes) -> ContractCall:
    """Let nothing new name a purpose; the authority."""
    return _call("Agreements", "retirePurpose", purpose)


def apply_for(
    dataset: bytes, purpose: bytes, fields: int, justification: str, nonce: bytes
) -> ContractCall:
    """Apply for a dataset and a purpose; a consumer."""
    return _call("Agreements", "applyFor", dataset, purpose, fields, justification, nonce)


def approve(application: bytes, fields: int, expires_at: int) -> ContractCall:
    """Approve an application, for all or fewer of its fields; the dataset's provider."""
    return _call("Agreements", "approve", application, fields, expires_at)


def decline(application: bytes, reason: str) -> ContractCall:
    """Decline an application; the dataset's provider."""
    return _call("Agreements", "decline", application, reason)


def sign_confidentiality(terms: ConfidentialityAgreement, signature: bytes) -> ContractCall:
    """Relay a consumer's signed confidentiality agreement; anyone."""
    return _call(
        "Agreements",
        "signConfidentiality",
        *msgspec.structs.astuple(terms),
        signature,
    )


def withdraw_agreement(agreement: bytes, reason: str) -> ContractCall:
    """End an agreement; the dataset's provider or the consumer."""
    return _call("Agreements", "withdrawAgreement", agreement, reason)


def appoint_supervisor(supervisor: bytes) -> ContractCall:
    """Let a machine of the calling regulator suspend agreements."""
    return _call("Agreements", "appointSupervisor", supervisor)


def dismiss_supervisor(supervisor: bytes) -> ContractCall:
    """Take a supervisor's appointment back; any regulator."""
    return _call("Agreements", "dismissSupervisor", supervisor)


def suspend_agreement(agreement: bytes, reason: str) -> ContractCall:
    """Suspend an agreement for 30 minutes; a supervisor."""
    return _call("Agreements", "suspendAgreement", agreement, reason)


def review_suspension(agreement: bytes, until: int, findings: str) -> ContractCall:
    """Look at a suspension: it lasts until then, never longer than it would; a regulator."""
    return _call("Agreements", "reviewSuspension", agreement, until, findings)


def purpose_id(terms: PurposeTerms) -> bytes:
    """Return the id that a purpose with these terms has (contracts/Agreements.sol `purposeId`)."""
    _, types = _layout("Agreements", "registerPurpose")
    return keccak256(encode_arguments(types, (_purpose(terms),)))


# Authorizations


def register_subjects(subjects: Sequence[bytes], signers: Sequence[bytes]) -> ContractCall:
    """Register subjects with their signers (ERC-7913 bytes); the identity authority."""
    return _call("Authorizations", "registerSubjects", tuple(subjects), tuple(signers))


def grant(terms: Authorization, approval: Approval) -> ContractCall:
    """Relay a signed authorization; anyone."""
    return _call("Authorizations", "grant", _authorization(terms), _approval(approval))


def revoke(terms: Revocation, approval: Approval) -> ContractCall:
    """Relay a signed revocation; anyone."""
    return _approved("revoke", terms, approval)


def confirm(terms: Confirmation, approval: Approval) -> ContractCall:
    """Relay a signed confirmation; anyone."""
    return _approved("confirm", terms, approval)


def set_frozen(terms: Freeze, approval: Approval) -> ContractCall:
    """Relay a signed freeze or its end; anyone."""
    return _approved("setFrozen", terms, approval)


def rotate_signer(terms: SignerRotation, approval: Approval) -> ContractCall:
    """Relay a subject's signed change of signer; anyone."""
    return _approved("rotateSigner", terms, approval)


def appoint_guardian(terms: GuardianAppointment, approval: Approval) -> ContractCall:
    """Relay a subject's signed appointment of a guardian; anyone."""
    return _approved("appointGuardian", terms, approval)


def start_recovery(subject: bytes, new_signer: bytes) -> ContractCall:
    """Start replacing a lost key; the subject's registrar or its successor."""
    return _call("Authorizations", "startRecovery", subject, new_signer)


def veto_recovery(terms: RecoveryVeto, approval: Approval) -> ContractCall:
    """Relay the present signer's veto against a recovery; anyone."""
    return _approved("vetoRecovery", terms, approval)


def complete_recovery(subject: bytes) -> ContractCall:
    """Make a due recovery take effect; anyone."""
    return _call("Authorizations", "completeRecovery", subject)


def close_subject(subject: bytes) -> ContractCall:
    """Close a stolen id at once; the subject's registrar or its successor."""
    return _call("Authorizations", "closeSubject", subject)


def open_subject(terms: SubjectOpening, approval: Approval) -> ContractCall:
    """Open a closed id, as its present signer signed; the registrar or its successor."""
    return _approved("openSubject", terms, approval)


def end_links(subject: bytes) -> ContractCall:
    """End all links of the id that were issued up to now; the registrar or its successor."""
    return _call("Authorizations", "endLinks", subject)


def void_access(
    sequence: int,
    terms: Authorization | GrantTerms,
    seen: int,
    last_use: int,
    ground: VoidGround,
    reason: str,
) -> ContractCall:
    """Give back one use that was recorded and never served; a regulator.

    Args:
        sequence: number of the access.
        terms: the authorization that it used.
        seen: its last use as it was judged by; refused when it is another one.
        last_use: time of the authorization's last access that stands; zero for none.
        ground: why.
        reason: public for ever.
    """
    values = (sequence, _authorization(terms), seen, last_use, ground, reason)
    return _call("Authorizations", "voidAccess", *values)


# AccessLog


class RequestGroup(msgspec.Struct, frozen=True):
    """What one consumer asks for in one call of `record`."""

    consumer: bytes
    requests: tuple[bytes, ...]
    """Each from `encode_request`."""


def encode_request(request: AccessRequest) -> bytes:
    """Return the 160 bytes of a request: basis, fields, nonce, deadline, item."""
    return b"".join(
        (
            request.basis,
            request.fields.to_bytes(32, "big"),
            request.nonce.to_bytes(32, "big"),
            request.deadline.to_bytes(32, "big"),
            request.item,
        )
    )


def decode_request(consumer: bytes, data: bytes) -> AccessRequest:
    """Return the request in bytes that `encode_request` made."""
    return AccessRequest(
        consumer=consumer,
        basis=data[:32],
        fields=int.from_bytes(data[32:64], "big"),
        nonce=int.from_bytes(data[64:96], "big"),
        deadline=int.from_bytes(data[96:128], "big"),
        item=data[128:160],
    )


def record(groups: Sequence[RequestGroup]) -> ContractCall:
    """Decide and record requests, in this order; a recorder."""
    offset = len(groups) * _WORD
    offsets, bodies = [], []
    for group in groups:
        offsets.append(_word(offset))
        body = (bytes(_ADDRESS_AT), group.consumer, _word(2 * _WORD), _word(len(group.requests)))
        bodies.append(b"".join((*body, *group.requests)))
        offset += len(bodies[-1])
    head = (_RECORD_SELECTOR, _word(_WORD), _word(len(groups)))
    return ContractCall("AccessLog", b"".join((*head, *offsets, *bodies)))


def decode_record(data: bytes) -> tuple[RequestGroup, ...]:
    """Return what a call data of `record` asks for, if `record` laid it out.

    Raises:
        MalformedError: it is other call data, or laid out differently.
    """
    start = _SELECTOR + 2 * _WORD
    groups = []
    for number in range(_number(data, start - _WORD)):
        at = start + _number(data, start + number * _WORD)
        count = _number(data, at + 2 * _WORD)
        first = at + 3 * _WORD
        ends = range(first + _REQUEST_LENGTH, len(data) + 1, _REQUEST_LENGTH)[:count]
        requests = tuple(data[end - _REQUEST_LENGTH : end] for end in ends)
        groups.append(RequestGroup(data[at + _ADDRESS_AT : at + _WORD], requests))
    # Checked at the end and as a whole: the layout is canonical, so there is one for these groups.
    if record(groups).data != data:
        raise MalformedError("not call data of record")
    return tuple(groups)


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD, "big")


def _number(data: bytes, at: int) -> int:
    number = int.from_bytes(data[at : at + _WORD], "big")
    if number > len(data):
        raise MalformedError("not call data of record")
    return number


# Encoding


def encode_call(contract: ContractName, function: str, *values: object) -> bytes:
    """Return the call data of a contract's function.

    Raises:
        MalformedError: a value does not fit its type.
    """
    selector, types = _layout(contract, function)
    return selector + encode_arguments(types, values)


def encode_arguments(types: Sequence[str], values: Sequence[object]) -> bytes:
    """Return the ABI encoding of some values.

    Raises:
        MalformedError: a value does not fit its type.
    """
    try:
        return encode(types, values)
    except (EncodingError, UnicodeEncodeError, TypeError) as error:
        raise MalformedError(str(error)).labelled("Calldata") from error


@cache
def _layout(contract: ContractName, function: str) -> tuple[bytes, tuple[str, ...]]:
    item = load_artifact(contract).function(function)
    return item.hash[:_SELECTOR], tuple(parameter.canonical for parameter in item.inputs)


def _call(contract: ContractName, function: str, *values: object) -> ContractCall:
    return ContractCall(contract, encode_call(contract, function, *values))


def _approved(
    function: str,
    terms: Revocation
    | Confirmation
    | Freeze
    | SignerRotation
    | GuardianAppointment
    | RecoveryVeto
    | SubjectOpening,
    approval: Approval,
) -> ContractCall:
    # The functions take the members of the signed record in its order, then the approval.
    values = (*msgspec.structs.astuple(terms), _approval(approval))
    return _call("Authorizations", function, *values)


def _approval(approval: Approval) -> tuple[bytes, bytes]:
    return approval.signer, approval.signature


def _authorization(terms: Authorization | GrantTerms) -> tuple[object, ...]:
    # The chain sees only the hash of the statement.
    if isinstance(terms, GrantTerms):
        return msgspec.structs.astuple(terms)
    hashed = {"statement": keccak256(terms.statement.encode())}
    return tuple(hashed.get(name, value) for name, value in msgspec.structs.asdict(terms).items())


def _purpose(terms: PurposeTerms) -> tuple[object, ...]:
    texts = {"texts": tuple((text.language, text.template) for text in terms.texts)}
    return tuple(texts.get(name, value) for name, value in msgspec.structs.asdict(terms).items())


_NAMES: Final = frozenset(("name", "code", "title", "fields", "language"))
"""Parameters that stand in statements, or beside names."""


def verify_call(call: ContractCall) -> ContractCall:
    """Return a call if all of its texts are plain, each as what it is (`ledger.plain_text`).

    A call of no function of the contract is returned too: it has no texts, and the contract refuses it.

    Raises:
        PlainTextError: a text is not plain, or no UTF-8, or the arguments cannot be read.
    """
    function = _functions(call.contract).get(call.data[:_SELECTOR])
    if function is None or not any(map(_has_text, function.inputs)):
        return call
    types = [parameter.canonical for parameter in function.inputs]
    try:
        arguments = decode_abi(types, call.data[_SELECTOR:])
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:
        raise PlainTextError(f"the arguments of {function.name} cannot be read") from error
    for name, text in _texts_of(function.inputs, arguments):
        _kind(function.name, name)(name, text)
    return call


def _kind(function: str, parameter: str) -> Callable[[str, str], str]:
    if parameter in _NAMES:
        return verify_name
    if (function, parameter) == ("signConfidentiality", "text"):
        return verify_document
    return verify_optional_text


@cache
def _functions(contract: ContractName) -> dict[bytes, AbiItem]:
    return {item.hash[:_SELECTOR]: item for item in load_artifact(contract).items("function")}


def _has_text(parameter: AbiParameter) -> bool:
    return parameter.type.startswith("string") or any(map(_has_text, parameter.components))


def _texts(parameter: AbiParameter, argument: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of an argument with the names of their parameters."""
    if not _has_text(parameter):
        return
    if parameter.type.endswith("]"):
        single = AbiParameter(
            parameter.name, parameter.type.rpartition("[")[0], components=parameter.components
        )
        for element in argument:
            yield from _texts(single, element)
    elif parameter.components:
        yield from _texts_of(parameter.components, argument)
    else:
        yield parameter.name, argument


def _texts_of(
    parameters: Sequence[AbiParameter], arguments: Sequence[Any]
) -> Iterator[tuple[str, str]]:
    for parameter, argument in zip(parameters, arguments, strict=True):
        yield from _texts(parameter, argument)

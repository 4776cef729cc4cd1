"""Calls of providers and regulators: who uses what, applications to decide, alerts, the trail."""

from typing import Any

import msgspec

from ledger.crypto.released_parts import WrongParts, encode_wrong_parts
from ledger.hexstr import to_hex
from ledger.jsonio import check_depth
from wallet.client.calls import Answer, Bitmap, Credential, HttpCall, nothing, path, reader


class AccessShown(msgspec.Struct, frozen=True):
    """One access as the gateway tells of it. Ids are 0x strings; what there is not is empty."""

    access: str
    sequence: int
    outcome: str
    at: int
    consumer: str
    basis: str
    fields: Bitmap
    consumer_name: str = ""
    kind: str = ""
    dataset: str = ""
    dataset_title: str = ""
    subject: str = ""
    item: str = ""
    block_number: int = 0
    transaction: str = ""
    voided: bool = False


class AccessPage(msgspec.Struct, frozen=True):
    """Some accesses, the newest first."""

    accesses: tuple[AccessShown, ...]
    cursor: str | None = None


class Application(msgspec.Struct, frozen=True):
    """An application of a consumer. Ids are 0x strings."""

    application: str
    consumer: str
    dataset: str
    purpose: str
    fields: Bitmap
    justification: str
    decided: bool
    signed: bool
    consumer_name: str = ""
    purpose_code: str = ""
    state: str = ""
    at: int = 0


class _Applications(msgspec.Struct):
    applications: tuple[Application, ...]


class Alert(msgspec.Struct, frozen=True):
    """What supervision found."""

    id: int
    rule: str
    severity: str
    text: str
    raised_at: int
    consumer: str = ""
    consumer_name: str = ""
    dataset: str = ""
    agreement: str = ""
    suspended_until: int | None = None


class _Alerts(msgspec.Struct):
    alerts: tuple[Alert, ...]


def dataset_accesses(dataset: bytes, cursor: str | None = None) -> HttpCall[AccessPage]:
    """Ask who used a dataset; its provider."""
    where = path("/v1/datasets/{}/accesses", dataset, cursor=cursor)
    return HttpCall("GET", where, reader(AccessPage), credential=Credential.SIGNATURE)


def applications() -> HttpCall[tuple[Application, ...]]:
    """Ask for the applications for a provider's datasets."""

    def read(answer: Answer) -> tuple[Application, ...]:
        return msgspec.json.decode(answer.body, type=_Applications).applications

    return HttpCall("GET", "/v1/applications", read, credential=Credential.SIGNATURE)


def alerts() -> HttpCall[tuple[Alert, ...]]:
    """Ask for the alerts; a regulator."""

    def read(answer: Answer) -> tuple[Alert, ...]:
        return msgspec.json.decode(answer.body, type=_Alerts).alerts

    return HttpCall("GET", "/v1/alerts", read, credential=Credential.SIGNATURE)


def release_journal(start: int) -> HttpCall[bytes]:
    """Ask for a part of the gateway's release journal, from an access's sequence on; a regulator.

    The answer is NDJSON; an empty one means that there is no more.
    """
    where = path("/v1/journal", **{"from": start})
    return HttpCall("GET", where, lambda got: got.body, credential=Credential.SIGNATURE)


def trace(**about: bytes | str) -> HttpCall[dict[str, Any]]:
    """Ask for everything about one subject, authorization, consumer, dataset or case; a regulator."""

    def read(answer: Answer) -> dict[str, Any]:
        check_depth(answer.body)
        return msgspec.json.decode(answer.body, type=dict[str, Any])

    where = path("/v1/trace", **about)
    return HttpCall("GET", where, read, credential=Credential.SIGNATURE)


class _Report(msgspec.Struct, omit_defaults=True):
    access: str
    keyholder: str | None = None
    proof: bytes | None = None


def name_keyholder(access: bytes, keyholder: bytes) -> HttpCall[None]:
    """Say that a keyholder's parts were wrong, for an access of the consumer's own; three consumers count."""
    return _report(_Report(to_hex(access), keyholder=to_hex(keyholder)))


def show_wrong_parts(access: bytes, proof: WrongParts) -> HttpCall[None]:
    """Show that a keyholder's parts were wrong, for an access of the consumer's own."""
    return _report(_Report(to_hex(access), proof=encode_wrong_parts(proof)))


def _report(report: _Report) -> HttpCall[None]:
    return HttpCall(
        "POST",
        "/v1/keyholder-reports",
        nothing,
        body=msgspec.json.encode(report),
        credential=Credential.SIGNATURE,
    )

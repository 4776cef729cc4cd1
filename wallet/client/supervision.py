"""Calls of providers and regulators: who uses what, applications to decide, alerts, the trail."""

from base64 import b64encode
from typing import Any

import msgspec

from ledger.api.supervision import (
    AccessesAnswer,
    AlertsAnswer,
    AlertShown,
    ApplicationsAnswer,
    ApplicationShown,
    KeyholderReportTaken,
)
from ledger.crypto.released_parts import WrongParts, encode_wrong_parts
from ledger.jsonio import check_depth
from wallet.client.calls import (
    Answer,
    HttpCall,
    nothing,
    path,
    reader,
    signed_get,
    signed_post,
)

_applications = reader(ApplicationsAnswer)
_alerts = reader(AlertsAnswer)


def dataset_accesses(dataset: bytes, cursor: str | None = None) -> HttpCall[AccessesAnswer]:
    """Ask who used a dataset; its provider."""
    where = path("/v1/datasets/{}/accesses", dataset, cursor=cursor)
    return signed_get(where, reader(AccessesAnswer))


def applications() -> HttpCall[tuple[ApplicationShown, ...]]:
    """Ask for the applications for a provider's datasets."""
    return signed_get("/v1/applications", lambda answer: _applications(answer).applications)


def alerts() -> HttpCall[tuple[AlertShown, ...]]:
    """Ask for the alerts; a regulator."""
    return signed_get("/v1/alerts", lambda answer: _alerts(answer).alerts)


def release_journal(start: int) -> HttpCall[bytes]:
    """Ask for a part of the gateway's release journal, from an access's sequence on; a regulator.

    The answer is NDJSON; an empty one means that there is no more.
    """
    return signed_get(path("/v1/journal", **{"from": start}), lambda got: got.body)


def trace(**about: bytes | str) -> HttpCall[dict[str, Any]]:
    """Ask for everything about one subject, authorization, consumer, dataset or case; a regulator."""

    def read(answer: Answer) -> dict[str, Any]:
        check_depth(answer.body)
        return msgspec.json.decode(answer.body, type=dict[str, Any])

    return signed_get(path("/v1/trace", **about), read)


def name_keyholder(access: bytes, keyholder: bytes) -> HttpCall[None]:
    """Say that a keyholder's parts were wrong, for an access of the consumer's own; three consumers count."""
    return _report(KeyholderReportTaken(access=access, keyholder=keyholder))


def show_wrong_parts(access: bytes, proof: WrongParts) -> HttpCall[None]:
    """Show that a keyholder's parts were wrong, for an access of the consumer's own."""
    encoded = b64encode(encode_wrong_parts(proof))
    return _report(KeyholderReportTaken(access=access, proof=encoded))


def _report(report: KeyholderReportTaken) -> HttpCall[None]:
    return signed_post("/v1/keyholder-reports", report, nothing)

"""A person's receipt for one use of an authorization, with the fields of ISO/IEC TS 27560.

The technical specification names what a consent record and receipt hold: a header, the processing of
personal data that was consented to, the parties, the events. Beside these stand the signed
authorization and where authorization and access are on chain; with them anybody can check the
receipt (`ledger.evidence` makes a file that needs no gateway at all).

Source: ISO/IEC TS 27560:2023, clauses 6.2 to 6.5.
"""

from typing import Any, Final

from pydantic import BaseModel

from gateway.api.presenters import show_approval
from gateway.store.authorizations import StoredAuthorization
from ledger.api.supervision import AccessShown
from ledger.hexstr import to_hex
from ledger.index.rows import AuthorizationEntry, DatasetEntry, PartyEntry, PurposeEntry
from ledger.typed_data import record_to_object

SCHEMA_VERSION: Final = "ISO/IEC TS 27560:2023"
_JURISDICTION: Final = "CN"


class PiiInformation(BaseModel):
    """One field of the data (6.3: pii_information)."""

    pii_attribute_id: int
    """Index in the dataset's schema."""
    pii_type: str
    pii_optional: bool = False


class Purpose(BaseModel):
    """What the data is used for (6.3: purposes)."""

    purpose: str
    purpose_type: str
    lawful_basis: str = "consent"
    pii_information: list[PiiInformation]
    pii_controllers: list[str]
    collection_method: str = "from the public authority that holds it, through Quancheng"
    processing_method: str = "field by field, decrypted by the recipient only"
    retention_period: int
    """Seconds."""
    recipient_third_parties: list[str] = []
    withdrawal_method: str = (
        "an EIP-712 Revocation, relayed by anyone; effective from the next block"
    )
    jurisdictions: list[str] = [_JURISDICTION]


class PrivacyNotice(BaseModel):
    """What the person saw and signed (6.3: privacy_notice)."""

    notice: str | None
    notice_hash: str
    """Keccak-256 of the statement, which is on chain."""
    language: list[str] = ["zh", "en"]


class PiiProcessing(BaseModel):
    """Clause 6.3."""

    privacy_notice: PrivacyNotice
    purposes: list[Purpose]


class PartyIdentification(BaseModel):
    """Clause 6.4."""

    party_id: str
    party_name: str
    party_role: str
    party_type: str = "organization"


class ConsentEvent(BaseModel):
    """Clause 6.5."""

    event_time: int
    event_type: str
    event_state: str
    entity_id: str
    validity_duration: int | None = None
    """Seconds."""
    transaction: str


class ReceiptHeader(BaseModel):
    """Clause 6.2."""

    schema_version: str = SCHEMA_VERSION
    record_id: str
    """Id of the authorization."""
    pii_principal_id: str
    """The subject's random id."""


class ConsentReceipt(BaseModel):
    """A receipt for one access."""

    receipt_id: str
    """Id of the access."""
    record: ReceiptHeader
    pii_processing: PiiProcessing
    party_identification: list[PartyIdentification]
    events: list[ConsentEvent]
    access: AccessShown
    authorization: dict[str, Any] | None
    """The signed record, where this gateway has it."""
    approval: dict[str, str] | None
    """Who signed it, and the signature, where this gateway relayed it."""


def make_receipt(
    access: AccessShown,
    authorization: AuthorizationEntry,
    signed: StoredAuthorization | None,
    *,
    dataset: DatasetEntry,
    purpose: PurposeEntry | None,
    parties: list[PartyEntry],
) -> ConsentReceipt:
    """Return the receipt of an access that rests on an authorization."""
    provider, consumer = parties
    return ConsentReceipt(
        receipt_id=access.access,
        record=ReceiptHeader(
            record_id=to_hex(authorization.id), pii_principal_id=to_hex(authorization.subject)
        ),
        pii_processing=PiiProcessing(
            privacy_notice=PrivacyNotice(
                notice=None if signed is None else signed.record.statement,
                notice_hash=to_hex(authorization.statement_hash),
            ),
            purposes=[_purpose(access, authorization, dataset, purpose)],
        ),
        party_identification=[_party(provider, "provider"), _party(consumer, "PII controller")],
        events=[_given(authorization), _used(access)],
        access=access,
        authorization=None if signed is None else record_to_object(signed.record),
        approval=None if signed is None else show_approval(signed.approval),
    )


def _purpose(
    access: AccessShown,
    authorization: AuthorizationEntry,
    dataset: DatasetEntry,
    purpose: PurposeEntry | None,
) -> Purpose:
    fields = int(access.fields) & authorization.fields
    return Purpose(
        purpose="" if purpose is None else purpose.code,
        purpose_type=to_hex(authorization.purpose),
        pii_information=[
            PiiInformation(pii_attribute_id=index, pii_type=f"{dataset.title}: {name}")
            for index, name in enumerate(dataset.fields)
            if fields >> index & 1
        ],
        pii_controllers=[access.consumer],
        retention_period=0 if purpose is None else purpose.retention,
    )


def _party(party: PartyEntry, role: str) -> PartyIdentification:
    return PartyIdentification(
        party_id=to_hex(party.address), party_name=party.name, party_role=role
    )


def _given(authorization: AuthorizationEntry) -> ConsentEvent:
    given_at = authorization.place.timestamp
    return ConsentEvent(
        event_time=given_at,
        event_type="explicit consent",
        event_state="withdrawn" if authorization.revoked else "consent given",
        entity_id=to_hex(authorization.subject),
        validity_duration=authorization.expires_at - max(authorization.not_before, given_at),
        transaction=to_hex(authorization.place.transaction),
    )


def _used(access: AccessShown) -> ConsentEvent:
    return ConsentEvent(
        event_time=access.at,
        event_type="use",
        event_state=access.outcome,
        entity_id=access.consumer,
        transaction=access.transaction,
    )

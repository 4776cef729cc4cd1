"""Anybody and gateway: what people signed and parties' transactions, to be brought on chain."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from pydantic import Field

from ledger.api.forms import Bitmap, Body, Bytes, Record, Text32, hexadecimal
from ledger.chain.transactions import MAX_RAW
from ledger.typed_data import (
    Authorization,
    Confirmation,
    Freeze,
    GuardianAppointment,
    RecoveryVeto,
    Revocation,
    SignerRotation,
    SubjectLink,
)

ConsentRequestId = Annotated[
    str, Field(pattern="^[0-9a-f]{32}$"), msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")
]


class Approval(Body):
    """Who signs for a subject (ERC-7913 bytes), and the signature."""

    signer: Bytes
    signature: Bytes


class AuthorizationToRelay(Body):
    """A signed authorization with the link of its subject to the dataset."""

    authorization: Annotated[Authorization, Record(Authorization)]
    approval: Approval
    link: Annotated[SubjectLink, Record(SubjectLink)]
    link_signature: Bytes
    request: ConsentRequestId | None = None


class RevocationToRelay(Body):
    """A signed revocation."""

    revocation: Annotated[Revocation, Record(Revocation)]
    approval: Approval


class ConfirmationToRelay(Body):
    """A signed confirmation by the new key."""

    confirmation: Annotated[Confirmation, Record(Confirmation)]
    approval: Approval


class FreezeToRelay(Body):
    """A signed freeze, or its end."""

    freeze: Annotated[Freeze, Record(Freeze)]
    approval: Approval


class RotationToRelay(Body):
    """A signed change of the signer."""

    rotation: Annotated[SignerRotation, Record(SignerRotation)]
    approval: Approval


class VetoToRelay(Body):
    """The old key's veto against a recovery."""

    veto: Annotated[RecoveryVeto, Record(RecoveryVeto)]
    approval: Approval


class GuardianToRelay(Body):
    """A signed appointment or dismissal of a guardian."""

    appointment: Annotated[GuardianAppointment, Record(GuardianAppointment)]
    approval: Approval


class RawTransaction(Body):
    """A transaction that a party signed."""

    raw: Annotated[bytes, hexadecimal("^0x([0-9a-f]{2})*$", 2 + 2 * MAX_RAW)]


@dataclass(frozen=True, slots=True)
class RelayedAnswer:
    """Where it is on chain, in a final block."""

    transaction: Text32
    block_number: int
    block_hash: Text32
    id: Text32 | None = None
    """Of the authorization that was granted, confirmed or revoked."""


@dataclass(frozen=True, slots=True)
class TransactionTerms:
    """What a party needs to sign its next transaction."""

    nonce: int
    chain_id: int
    gas_price: Bitmap
    """Wei, decimal."""
    max_gas: int

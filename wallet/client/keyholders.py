"""Calls to keyholders: who they are, and the subkeys that a provider encrypts with."""

from typing import Annotated

import msgspec

from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.hexstr import from_hex, to_hex
from wallet.client.calls import Answer, Credential, HttpCall

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

"""Calls to keyholders: who they are, and the subkeys that a provider encrypts with."""

from typing import Annotated

import msgspec

from ledger.hexes import from_hex, to_hex
from wallet.client.calls import Answer, Credential, HttpCall

Count = Annotated[int, msgspec.Meta(ge=1)]


class SealedSubkeys(msgspec.Struct, frozen=True):
    """A keyholder's subkeys for a dataset, sealed to the dataset's provider."""

    holder: int
    """The keyholder's number, from 1."""
    epoch: int
    threshold: int
    members: tuple[bytes, ...]
    """Addresses of the keyholders, by number."""
    sealed: bytes


class _Subkeys(msgspec.Struct):
    holder: Count
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    threshold: Count
    members: list[str]
    sealed: bytes


class _SubkeysBody(msgspec.Struct, omit_defaults=True):
    dataset: str
    epoch: int | None = None


_answers = msgspec.json.Decoder(_Subkeys)


def ask_subkeys(
    keyholder: str, dataset: bytes, epoch: int | None = None
) -> HttpCall[SealedSubkeys]:
    """Ask a keyholder for its subkeys for a dataset; the dataset's provider only.

    Args:
        keyholder: its base address.
        dataset: 32 bytes.
        epoch: the newest complete one when None.
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
    members = tuple(from_hex(member, 20) for member in found.members)
    return SealedSubkeys(found.holder, found.epoch, found.threshold, members, found.sealed)

"""What a consumer keeps of each ask: the case, what was asked, what was granted.

A file of JSON for each ask, for its user only: it ties a case number to a person's pseudonym, and has
what is needed later to check what is opened (`wallet.client.verification.Basis`).
"""

import re
from pathlib import Path
from typing import Final, Literal

import msgspec

from ledger.api import SignedLink, read_link
from ledger.api.consent import ConsentRequest
from ledger.crypto.signatures import SIGNATURE_LENGTH
from ledger.errors import LedgerError
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from ledger.typed_data import (
    Authorization,
    JsonScalar,
    record_from_object,
    record_to_object,
    struct_hash,
)
from wallet.client.verification import Basis
from wallet.errors import PartyError
from wallet.files import write_whole

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Case(msgspec.Struct, frozen=True):
    """One ask and its outcome."""

    request: str
    """Id of the request at the gateway."""
    ask: ConsentRequest
    state: str = "pending"
    authorization: Authorization | None = None
    link: SignedLink | None = None

    @property
    def authorization_id(self) -> bytes | None:
        """Id of what was granted: the basis of accesses."""
        return None if self.authorization is None else struct_hash(self.authorization)

    @property
    def basis(self) -> Basis:
        """What helps to check what is opened."""
        return Basis(self.authorization, self.link)


class _Text(msgspec.Struct):
    v: Literal[1]
    request: str
    ask: msgspec.Raw
    state: str
    authorization_id: str | None
    authorization: dict[str, JsonScalar] | None
    link: dict[str, JsonScalar] | None
    link_signature: str | None


class Cases:
    """The files of one directory, which is made when the first is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, case: Case) -> None:
        """Store a case; on disk when this returns, or it is a `PartyError`."""
        path = self._path(case.request)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, _encode(case))
        except OSError as error:
            raise PartyError("Consumer", f"{path}: {error.strerror}") from error

    def get(self, request: str) -> Case:
        """Return a case; a `PartyError` if there is none of this request, or its file is damaged."""
        return _decode(self._path(request))

    def all(self) -> tuple[Case, ...]:
        """Return all cases; a `PartyError` if any cannot be read."""
        return tuple(map(_decode, sorted(self._directory.glob("*.json"))))

    def of_authorization(self, authorization: bytes) -> Case | None:
        """Return the case that an authorization was granted for; None when it is not known here."""
        return next((case for case in self.all() if case.authorization_id == authorization), None)

    def _path(self, request: str) -> Path:
        if _NAME.fullmatch(request) is None:
            raise PartyError("Consumer", f"{request[:40]!r} is no request's id")
        return self._directory / f"{request}.json"


def _encode(case: Case) -> bytes:
    granted, link = case.authorization, case.link
    text = _Text(
        v=1,
        request=case.request,
        ask=msgspec.Raw(case.ask.encode()),
        state=case.state,
        authorization_id=None if granted is None else to_hex(struct_hash(granted)),
        authorization=None if granted is None else dict(record_to_object(granted)),
        link=None if link is None else dict(record_to_object(link.link)),
        link_signature=None if link is None else to_hex(link.signature),
    )
    return msgspec.json.format(msgspec.json.encode(text), indent=2) + b"\n"


def _decode(path: Path) -> Case:
    try:
        text = msgspec.json.decode(path.read_bytes(), type=_Text)
        granted = text.authorization
        return Case(
            request=text.request,
            ask=ConsentRequest.parse(bytes(text.ask)),
            state=text.state,
            authorization=None if granted is None else record_from_object(Authorization, granted),
            link=read_link(text.link, text.link_signature, SIGNATURE_LENGTH),
        )
    except OSError as error:
        raise PartyError("Consumer", f"{path}: {error.strerror}") from error
    except (*UNREADABLE, LedgerError) as error:
        raise PartyError("Consumer", f"{path} is damaged: {error}") from error

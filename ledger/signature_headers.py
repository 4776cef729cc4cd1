"""The three headers of a signed HTTP request, read and written in exactly one shape.

The profile's shape of structured fields is canonical: no escapes, no optional blanks, no leading
zeros, one member each. So the text received is the text that was signed, and nothing can be read in
two ways. What the values mean is the business of `ledger.http_signatures`.

Source: RFC 9421 clauses 4.1 and 4.2; RFC 9530 clause 2; RFC 9651.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from ledger.errors import LedgerError
from ledger.hexes import from_hex, to_hex

LABEL: Final = "eth"
"""The name under which requests are signed here (ERC-8128); in what is received any will do."""

_PARAMETERS: Final = frozenset(("created", "expires", "nonce", "keyid"))

_ONCE: Final = frozenset(("signature-input", "signature", "content-digest", "host"))
"""Host too: it is what `@authority` is taken from, and of two everybody takes another one."""

_NAME: Final = r"[a-z*][a-z0-9_.*-]*"
_INPUT: Final = re.compile(rf'({_NAME})=(\(("[^"]*"(?: "[^"]*")*)?\)((?:;{_NAME}=[^;,]+)*))')
_PARAMETER: Final = re.compile(rf'({_NAME})=(?:(0|[1-9][0-9]{{0,14}})|"([^"\\]*)")')
_SIGNATURE: Final = re.compile(rf"({_NAME})=:([A-Za-z0-9+/=]*):")
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/=]*):")
_KEY_ID: Final = re.compile(r"erc8128:(0|[1-9][0-9]{0,77}):(0x[0-9a-f]{40})")
_NONCE: Final = re.compile(r"[A-Za-z0-9+/=._~-]{16,128}")


class HttpSignatureError(LedgerError):
    """Root of why a request does not count as signed."""


class SignatureHeaders(msgspec.Struct, frozen=True):
    """The values of the three headers that carry a signature."""

    signature_input: str
    signature: str
    content_digest: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Return the headers by name, to be sent."""
        pairs = [("Signature-Input", self.signature_input), ("Signature", self.signature)]
        if self.content_digest is not None:
            pairs.append(("Content-Digest", self.content_digest))
        return pairs


class SignatureInput(msgspec.Struct, frozen=True):
    """What Signature-Input says."""

    label: str
    covered: tuple[str, ...]
    created: int
    expires: int
    nonce: str
    chain_id: int
    address: bytes
    parameters: str
    """The text behind the label: what `@signature-params` stands for."""


def received_headers(pairs: Iterable[tuple[str, str]]) -> SignatureHeaders:
    """Pick the three headers out of all that a request came with.

    Raises:
        HttpSignatureError: Signature-Input or Signature is not there.
        HttpSignatureError: one of the three, or Host, is there twice.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key not in _ONCE:
            continue
        if key in found:
            raise HttpSignatureError(f"{key} is given more than once")
        found[key] = value.strip(" \t")
    try:
        signature_input, signature = found["signature-input"], found["signature"]
    except KeyError as error:
        raise HttpSignatureError(f"the request has no {error.args[0]}") from error
    return SignatureHeaders(signature_input, signature, found.get("content-digest"))


def format_parameters(
    covered: Iterable[str],
    *,
    created: int,
    expires: int,
    nonce: str,
    chain_id: int,
    address: bytes,
) -> str:
    """Return the inner list with its parameters, the value of `@signature-params`.

    Raises:
        HttpSignatureError: the nonce has another form than the profile's.
    """
    _check_nonce(nonce)
    names = " ".join(f'"{name}"' for name in covered)
    key_id = f"erc8128:{chain_id}:{to_hex(address)}"
    return f'({names});created={created};expires={expires};nonce="{nonce}";keyid="{key_id}"'


def format_digest(digest: bytes) -> str:
    """Return the Content-Digest of a body's SHA-256 (RFC 9530)."""
    return f"sha-256=:{_base64(digest)}:"


def format_signature(
    parameters: str, signature: bytes, content_digest: str | None
) -> SignatureHeaders:
    """Return the headers of a signature over the base that ends with these parameters."""
    return SignatureHeaders(
        signature_input=f"{LABEL}={parameters}",
        signature=f"{LABEL}=:{_base64(signature)}:",
        content_digest=content_digest,
    )


def parse_input(text: str) -> SignatureInput:
    """Return what a Signature-Input says.

    Raises:
        HttpSignatureError: another shape, or other parameters, than the profile's.
    """
    match = _INPUT.fullmatch(text)
    if match is None:
        raise HttpSignatureError("Signature-Input does not have the profile's shape")
    label, parameters, names, rest = match.groups()
    values = _parse_parameters(rest)
    key_id = _KEY_ID.fullmatch(_string(values, "keyid"))
    if key_id is None:
        raise HttpSignatureError("keyid is not erc8128:<chain id>:<address in lowercase>")
    nonce = _string(values, "nonce")
    _check_nonce(nonce)
    return SignatureInput(
        label=label,
        covered=tuple(name.strip('"') for name in (names or "").split(" ") if name),
        created=_integer(values, "created"),
        expires=_integer(values, "expires"),
        nonce=nonce,
        chain_id=int(key_id[1]),
        address=from_hex(key_id[2]),
        parameters=parameters,
    )


def parse_signature(text: str, label: str) -> bytes:
    """Return the bytes of a Signature with this label.

    Raises:
        HttpSignatureError: another shape, another label, or no canonical base64.
    """
    match = _SIGNATURE.fullmatch(text)
    if match is None:
        raise HttpSignatureError("Signature does not have the profile's shape")
    if match[1] != label:
        raise HttpSignatureError("Signature and Signature-Input have different labels")
    return _bytes(match[2], "Signature")


def parse_digest(text: str) -> bytes:
    """Return the SHA-256 in a Content-Digest, 32 bytes.

    Raises:
        HttpSignatureError: anything but one sha-256.
    """
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise HttpSignatureError("Content-Digest is not exactly one sha-256")
    digest = _bytes(match[1], "Content-Digest")
    if len(digest) != sha256().digest_size:
        raise HttpSignatureError("Content-Digest is not exactly one sha-256")
    return digest


def _parse_parameters(text: str) -> dict[str, int | str]:
    values: dict[str, int | str] = {}
    for piece in text.split(";")[1:]:
        match = _PARAMETER.fullmatch(piece)
        if match is None or match[1] in values:
            raise HttpSignatureError("a parameter of Signature-Input is malformed or repeated")
        values[match[1]] = int(match[2]) if match[3] is None else match[3]
    if values.keys() != _PARAMETERS:
        raise HttpSignatureError(
            "the parameters of Signature-Input are created, expires, nonce and keyid"
        )
    return values


def _check_nonce(nonce: str) -> None:
    if _NONCE.fullmatch(nonce) is None:
        raise HttpSignatureError("nonce needs 16 to 128 characters of A-Z a-z 0-9 + / = . _ ~ -")


def _integer(values: dict[str, int | str], name: str) -> int:
    value = values[name]
    if not isinstance(value, int):
        raise HttpSignatureError(f"{name} needs an integer")
    return value


def _string(values: dict[str, int | str], name: str) -> str:
    value = values[name]
    if not isinstance(value, str):
        raise HttpSignatureError(f"{name} needs a string")
    return value


def _bytes(text: str, header: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise HttpSignatureError(f"{header} is not base64") from error
    if _base64(data) != text:
        raise HttpSignatureError(f"{header} is not canonical base64")
    return data


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")

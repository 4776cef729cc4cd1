"""Signed HTTP requests: who sent this, for exactly this request, not long ago, once.

A profile of RFC 9421 (HTTP Message Signatures) after ERC-8128, for Ethereum accounts:

    Signature-Input: eth=("@method" "@authority" "@path" "@query" "content-digest");created=1;\
expires=61;nonce="...";keyid="erc8128:31337:0x..."
    Signature: eth=:<65 bytes, base64>:
    Content-Digest: sha-256=:<32 bytes, base64>:

Covered are method, authority and path always, the query if there is one, the digest of the body if
there is one, and nothing else; all four parameters are there, nothing else; the order of both is
free. The signature is `personal_sign` (EIP-191) over the signature base. What does not have exactly
this shape is refused: a signature that could be read in two ways is worth nothing.

This module knows neither clock nor memory: the caller gives the time, and remembers (address,
nonce) until `expires`.

Source: RFC 9421 clauses 2.2, 2.3, 2.5, 3.1, 3.2, 4.1, 4.2; RFC 9530 clause 2; RFC 9651; ERC-8128
(draft); docs/spec/http-signatures.md.
"""

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ledger.crypto.signatures import address_of, personal_digest, sign, verify_signature
from ledger.errors import LedgerError, SigningError
from ledger.hexstr import from_hex, to_hex

MAX_LIFETIME: Final = 300
"""Seconds from `created` to `expires` at most, unless the caller allows less."""

USUAL_LIFETIME: Final = 60
"""Seconds for which a request is signed when the caller does not say."""

CLOCK_SKEW: Final = 30
"""Seconds by which a client's clock may be ahead, unless the caller says otherwise."""

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


_NONCE_BYTES: Final = 16
_ALWAYS_COVERED: Final = ("@method", "@authority", "@path")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

_METHOD: Final = re.compile(r"[A-Z]+")
_AUTHORITY: Final = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_PATH: Final = re.compile(r"/[!-\"$->@-~]*")  # visible ASCII without # and ?
_QUERY: Final = re.compile(r"[!-\"$-~]*")  # visible ASCII without #


class HttpSignatureError(LedgerError):
    """A request does not count as signed, or cannot be."""


class SignatureHeaders(msgspec.Struct, frozen=True):
    """The values of the three headers that carry a signature."""

    signature_input: str
    signature: str
    content_digest: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        pairs = [("Signature-Input", self.signature_input), ("Signature", self.signature)]
        if self.content_digest is not None:
            pairs.append(("Content-Digest", self.content_digest))
        return pairs


class SignatureInput(msgspec.Struct, frozen=True):
    label: str
    covered: tuple[str, ...]
    created: int
    expires: int
    nonce: str
    chain_id: int
    address: bytes
    parameters: str
    """The text behind the label: what `@signature-params` stands for."""


class RequestSignerError(HttpSignatureError):
    """The signature is not of the account that keyid names, or not over this request.

    Or the account is a contract: only the chain can check what counts as its signature (ERC-1271),
    over `digest` (32 bytes).
    """

    def __init__(
        self, reason: str, request: "VerifiedRequest", digest: bytes, signature: bytes
    ) -> None:
        super().__init__(reason)
        self.request = request
        self.digest = digest
        self.signature = signature


class RequestTarget(msgspec.Struct, frozen=True):
    """What a request is aimed at, as it travels; `HttpSignatureError` if a part has another form."""

    method: str
    authority: str
    """Host and port in lowercase, without the scheme's usual port: see `authority_of`."""
    path: str
    """Absolute and percent-encoded as sent; not as frameworks decode it."""
    query: str = ""
    """Percent-encoded as sent, without the question mark; empty when there is none."""

    def __post_init__(self) -> None:
        for name, value, form in (
            ("method", self.method, _METHOD),
            ("authority", self.authority, _AUTHORITY),
            ("path", self.path, _PATH),
            ("query", self.query, _QUERY),
        ):
            if form.fullmatch(value) is None:
                raise HttpSignatureError(f"the request's {name} has a form that cannot be signed")


class VerifiedRequest(msgspec.Struct, frozen=True):
    """Who signed a request, and what must be remembered of it; times are seconds since 1970."""

    address: bytes
    nonce: str
    """Together with the address to be remembered until `expires`; a second one is a replay."""
    created: int
    expires: int
    content_digest: bytes | None
    """SHA-256 that the body has to have; None when there is none."""


def authority_of(host: str, scheme: str) -> str:
    """Return the `@authority` of a Host header: lowercase, without the usual port (2.2.3)."""
    return host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, " "))


def target_of(method: str, url: str) -> RequestTarget:
    """Return the target of a request to an absolute http or https URL, percent-encoded; else `HttpSignatureError`."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise HttpSignatureError("the URL is malformed") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise HttpSignatureError("needs an absolute http or https URL")
    return RequestTarget(
        method=method.upper(),
        authority=authority_of(parts.netloc, parts.scheme),
        path=parts.path or "/",
        query=parts.query,
    )


def body_digest(body: bytes) -> bytes | None:
    return sha256(body).digest() if body else None


def sign_request(
    target: RequestTarget,
    content_digest: bytes | None,
    private_key: bytes,
    *,
    chain_id: int,
    created: int,
    lifetime: int = USUAL_LIFETIME,
    nonce: str | None = None,
) -> SignatureHeaders:
    """Sign a request with an account's key for `lifetime` seconds; the nonce is drawn unless given.

    Raises:
        SigningError: not a private key.
        HttpSignatureError: a nonce that was given has another form than the profile's.
    """
    covered = _to_be_covered(target, has_digest=content_digest is not None)
    parameters = format_parameters(
        covered,
        created=created,
        expires=created + lifetime,
        nonce=secrets.token_urlsafe(_NONCE_BYTES) if nonce is None else nonce,
        chain_id=chain_id,
        address=address_of(private_key),
    )
    digest_header = None if content_digest is None else format_digest(content_digest)
    base = signature_base(target, digest_header, covered, parameters)
    return format_signature(parameters, sign(personal_digest(base), private_key), digest_header)


def verify_request(
    target: RequestTarget,
    body: bytes,
    headers: SignatureHeaders,
    *,
    chain_id: int,
    now: int,
    max_lifetime: int = MAX_LIFETIME,
    clock_skew: int = CLOCK_SKEW,
) -> VerifiedRequest:
    """Return who signed a request that is here in full; the nonce is the caller's to check. Raises as for the head."""
    request = verify_request_head(
        target,
        headers,
        has_body=bool(body),
        chain_id=chain_id,
        now=now,
        max_lifetime=max_lifetime,
        clock_skew=clock_skew,
    )
    if request.content_digest is None:
        return request
    return verify_content(request, sha256(body).digest())


def verify_request_head(
    target: RequestTarget,
    headers: SignatureHeaders,
    *,
    has_body: bool,
    chain_id: int,
    now: int,
    max_lifetime: int = MAX_LIFETIME,
    clock_skew: int = CLOCK_SKEW,
) -> VerifiedRequest:
    """Return who signed a request whose body is still to come, as for a large upload.

    Nothing of the body may take effect before `verify_content` has passed.

    Raises:
        HttpSignatureError: why the request does not count as signed; `RequestSignerError` if
            only the chain could still say that it does.
    """
    signed = parse_input(headers.signature_input)
    signature = parse_signature(headers.signature, signed.label)
    digest = None if headers.content_digest is None else parse_digest(headers.content_digest)
    if has_body and digest is None:
        raise HttpSignatureError("the request has a body but no Content-Digest")
    if digest is not None and not has_body:
        raise HttpSignatureError("a body was signed, and the request has none")
    _check_coverage(signed.covered, _to_be_covered(target, has_digest=digest is not None))
    if signed.chain_id != chain_id:
        raise HttpSignatureError(f"signed for chain {signed.chain_id}, this is chain {chain_id}")
    _check_time(signed, now=now, max_lifetime=max_lifetime, clock_skew=clock_skew)
    base = signature_base(target, headers.content_digest, signed.covered, signed.parameters)
    request = VerifiedRequest(
        address=signed.address,
        nonce=signed.nonce,
        created=signed.created,
        expires=signed.expires,
        content_digest=digest,
    )
    hashed = personal_digest(base)
    try:
        verify_signature(hashed, signature, signed.address)
    except SigningError as error:
        reason = f"the request is not as keyid's account signed it: {error}"
        raise RequestSignerError(reason, request, hashed, signature) from error
    return request


def verify_content(request: VerifiedRequest, digest: bytes) -> VerifiedRequest:
    """Return the request if its body has this SHA-256; else `HttpSignatureError`."""
    if request.content_digest != digest:
        raise HttpSignatureError("the body is not the one that was signed")
    return request


def signature_base(
    target: RequestTarget, content_digest: str | None, covered: Iterable[str], parameters: str
) -> bytes:
    """Return the signature base of RFC 9421 clause 2.5; `HttpSignatureError` for a component that is none here.

    `content_digest` is the header's value, `covered` the names in the order signed, `parameters`
    the inner list with its parameters as in Signature-Input.
    """
    values = {
        "@method": target.method,
        "@authority": target.authority,
        "@path": target.path,
        "@query": f"?{target.query}",
        "content-digest": content_digest,
    }
    lines = []
    for name in covered:
        value = values.get(name)
        if value is None:
            raise HttpSignatureError(f"{name[:40]} cannot be covered here")
        lines.append(f'"{name}": {value}\n')
    return ("".join(lines) + f'"@signature-params": {parameters}').encode("ascii")


def _to_be_covered(target: RequestTarget, *, has_digest: bool) -> tuple[str, ...]:
    query = ("@query",) if target.query else ()
    digest = ("content-digest",) if has_digest else ()
    return _ALWAYS_COVERED + query + digest


def _check_coverage(covered: tuple[str, ...], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in covered]
    if missing:
        raise HttpSignatureError(f"the signature does not cover {', '.join(missing)}")
    if len(covered) != len(needed):
        raise HttpSignatureError(f"the signature must cover exactly {', '.join(needed)}")


def _check_time(signed: SignatureInput, *, now: int, max_lifetime: int, clock_skew: int) -> None:
    if not 0 < signed.expires - signed.created <= max_lifetime:
        raise HttpSignatureError(f"must be signed for 1 to {max_lifetime} seconds")
    if signed.created > now + clock_skew:
        raise HttpSignatureError(
            f"created {signed.created - now} s in the future by the clock here: set the clocks"
        )
    if signed.expires <= now:
        raise HttpSignatureError(f"expired {now - signed.expires} s ago by the clock here")


# The three headers, read and written in one canonical shape: no escapes, no optional blanks, no leading zeros, one
# member each. So the text received is the text that was signed.


def received_headers(pairs: Iterable[tuple[str, str]]) -> SignatureHeaders:
    """Pick the three headers out of all that a request came with.

    Raises:
        HttpSignatureError: Signature-Input or Signature is missing, or one of the three, or
            Host, is there twice.
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key not in _ONCE:
            continue
        if key in values:
            raise HttpSignatureError(f"{key} is given more than once")
        values[key] = value.strip(" \t")
    try:
        signature_input, signature = values["signature-input"], values["signature"]
    except KeyError as error:
        raise HttpSignatureError(f"the request has no {error.args[0]}") from error
    return SignatureHeaders(signature_input, signature, values.get("content-digest"))


def format_parameters(
    covered: Iterable[str],
    *,
    created: int,
    expires: int,
    nonce: str,
    chain_id: int,
    address: bytes,
) -> str:
    """Return the inner list with its parameters, the value of `@signature-params`."""
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
    """Return what a Signature-Input says; `HttpSignatureError` for another shape, or other parameters."""
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
    """Return the bytes of a Signature with this label; `HttpSignatureError` for anything else."""
    match = _SIGNATURE.fullmatch(text)
    if match is None:
        raise HttpSignatureError("Signature does not have the profile's shape")
    if match[1] != label:
        raise HttpSignatureError("Signature and Signature-Input have different labels")
    return _bytes(match[2], "Signature")


def parse_digest(text: str) -> bytes:
    """Return the SHA-256 in a Content-Digest, 32 bytes; `HttpSignatureError` for anything but one sha-256."""
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

"""Signed requests: exactly this request, by this account, on this chain, now."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.crypto.signatures import address_of
from ledger.hexstr import from_hex, to_hex
from ledger.service.http_signatures import (
    HttpSignatureError,
    RequestSignerError,
    RequestTarget,
    SignatureHeaders,
    VerifiedRequest,
    authority_of,
    body_digest,
    received_headers,
    sign_request,
    signature_base,
    target_of,
    verify_content,
    verify_request,
    verify_request_head,
)
from tests.vectors.files import vectors

VECTORS = vectors("http-signatures.json")
KEY = b"\x46" * 32
ADDRESS = address_of(KEY)
CHAIN = 31337
NOW = 1_800_000_000
NONCE = "nonce-of-16-chars"
BODY = b'{"hello": "world"}'
TARGET = RequestTarget("POST", "gateway.example:8443", "/v1/uploads", "part=1")


def signed(
    target: RequestTarget = TARGET,
    body: bytes = BODY,
    *,
    chain_id: int = CHAIN,
    created: int = NOW,
    lifetime: int = 60,
) -> SignatureHeaders:
    return sign_request(
        target,
        body_digest(body),
        KEY,
        chain_id=chain_id,
        created=created,
        lifetime=lifetime,
        nonce=NONCE,
    )


def verify(
    headers: SignatureHeaders,
    target: RequestTarget = TARGET,
    body: bytes = BODY,
    *,
    now: int = NOW,
) -> VerifiedRequest:
    return verify_request(target, body, headers, chain_id=CHAIN, now=now)


def test_signed_request_is_accepted_and_says_what_to_remember() -> None:
    assert verify(signed()) == VerifiedRequest(
        address=ADDRESS,
        nonce=NONCE,
        created=NOW,
        expires=NOW + 60,
        content_digest=sha256(BODY).digest(),
    )


def test_request_without_query_and_body_covers_neither() -> None:
    target = RequestTarget("GET", "gateway.example", "/v1/inbox")
    headers = signed(target, b"")
    assert headers.content_digest is None
    assert headers.signature_input.startswith('eth=("@method" "@authority" "@path");created=')
    assert verify(headers, target, b"").content_digest is None


def test_every_request_gets_another_nonce() -> None:
    first, second = (sign_request(TARGET, None, KEY, chain_id=CHAIN, created=NOW) for _ in range(2))
    one, two = (verify(headers, body=b"").nonce for headers in (first, second))
    assert one != two


def test_headers_survive_the_wire() -> None:
    pairs = [("Host", "x"), *((name.upper(), f" {value}\t") for name, value in signed().pairs())]
    assert received_headers(pairs) == signed()


# What is signed is what RFC 9421 and EIP-191 say.


def test_signature_base_is_that_of_the_rfc() -> None:
    """The values of RFC 9421 clauses 2.2.1 (method), 2.2.3 (authority), 2.2.6 and 2.2.7."""
    target = target_of("POST", "https://www.example.com/path?param=value&foo=bar&baz=bat%2Dman")
    digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    covered = ("@method", "@authority", "@path", "@query", "content-digest")
    base = signature_base(target, digest, covered, '();created=1618884473;keyid="test"')
    assert base.decode() == (
        '"@method": POST\n'
        '"@authority": www.example.com\n'
        '"@path": /path\n'
        '"@query": ?param=value&foo=bar&baz=bat%2Dman\n'
        f'"content-digest": {digest}\n'
        '"@signature-params": ();created=1618884473;keyid="test"'
    )


def test_content_digest_is_that_of_the_rfc() -> None:
    """RFC 9530, appendix B.1: a JSON object and a line feed."""
    headers = signed(body=b'{"hello": "world"}\n')
    assert headers.content_digest == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_signature_is_a_personal_signature_over_the_base() -> None:
    headers = signed()
    base = (
        '"@method": POST\n"@authority": gateway.example:8443\n"@path": /v1/uploads\n'
        f'"@query": ?part=1\n"content-digest": {headers.content_digest}\n'
        '"@signature-params": ("@method" "@authority" "@path" "@query" "content-digest")'
        f';created={NOW};expires={NOW + 60};nonce="{NONCE}";keyid="erc8128:{CHAIN}:{to_hex(ADDRESS)}"'
    )
    theirs = Account.sign_message(encode_defunct(text=base), KEY).signature
    assert headers.signature == f"eth=:{b64encode(theirs).decode()}:"


def test_another_label_and_another_order_are_as_good() -> None:
    """As @slicekit/erc8128 covers them: its own order, any label."""
    parameters = (
        '("@authority" "@method" "@path" "@query" "content-digest")'
        f';keyid="erc8128:{CHAIN}:{to_hex(ADDRESS)}";nonce="{NONCE}";expires={NOW + 9};created={NOW}'
    )
    digest = signed().content_digest
    covered = ("@authority", "@method", "@path", "@query", "content-digest")
    base = signature_base(TARGET, digest, covered, parameters)
    theirs = Account.sign_message(encode_defunct(base), KEY).signature
    headers = SignatureHeaders(f"sig1={parameters}", f"sig1=:{b64encode(theirs).decode()}:", digest)
    assert verify(headers).address == ADDRESS


# Another request than the one signed


@pytest.mark.parametrize(
    "target",
    [
        msgspec.structs.replace(TARGET, method="PUT"),
        msgspec.structs.replace(TARGET, authority="gateway.example"),
        msgspec.structs.replace(TARGET, path="/v1/uploads/"),
        msgspec.structs.replace(TARGET, query="part=2"),
    ],
)
def test_signature_for_another_target_is_refused(target: RequestTarget) -> None:
    with pytest.raises(RequestSignerError):
        verify(signed(), target)


def test_query_added_or_taken_away_is_refused() -> None:
    bare = msgspec.structs.replace(TARGET, query="")
    with pytest.raises(HttpSignatureError, match="does not cover @query"):
        verify(signed(bare), TARGET)
    with pytest.raises(
        HttpSignatureError, match="must cover exactly @method, @authority, @path, cont"
    ):
        verify(signed(TARGET), bare)


def test_body_changed_added_or_taken_away_is_refused() -> None:
    with pytest.raises(HttpSignatureError):
        verify(signed(), body=b"{}")
    with pytest.raises(HttpSignatureError):
        verify(signed(), body=b"")
    with pytest.raises(HttpSignatureError, match="has a body but no Content-Digest"):
        verify(signed(body=b""), body=BODY)


def test_a_signed_digest_without_its_body_is_refused_before_anything_is_done() -> None:
    with pytest.raises(HttpSignatureError, match="has none"):
        verify_request_head(TARGET, signed(), has_body=False, chain_id=CHAIN, now=NOW)


def test_a_component_that_is_signed_and_not_there_or_twice_is_refused() -> None:
    headers = msgspec.structs.replace(signed(), content_digest=None)
    with pytest.raises(HttpSignatureError):
        verify(headers, body=b"")
    bare = RequestTarget("GET", "gateway.example", "/v1/inbox")
    names = '("@method" "@authority" "@path")'
    for twice in ('("@method" "@authority" "@path" "@path")', '("@method" "@path" "@path")'):
        found = signed(bare, b"")
        changed = found.signature_input.replace(names, twice)
        with pytest.raises(HttpSignatureError):
            verify(msgspec.structs.replace(found, signature_input=changed), bare, b"")


def test_two_hosts_are_refused() -> None:
    pairs = signed().pairs()
    with pytest.raises(HttpSignatureError, match="host is given more than once"):
        received_headers([("Host", "gateway.example"), *pairs, ("host", "other.example")])


def test_digest_that_is_sent_but_not_signed_is_refused() -> None:
    headers = msgspec.structs.replace(signed(body=b""), content_digest=signed().content_digest)
    with pytest.raises(HttpSignatureError, match="does not cover content-digest"):
        verify(headers)


def test_digest_exchanged_is_refused() -> None:
    other = signed(body=b"{}").content_digest
    with pytest.raises(RequestSignerError):
        verify(msgspec.structs.replace(signed(), content_digest=other), body=b"{}")


def test_large_body_is_checked_when_it_has_come() -> None:
    head = verify_request_head(TARGET, signed(), has_body=True, chain_id=CHAIN, now=NOW)
    assert verify_content(head, sha256(BODY).digest()) == head
    with pytest.raises(HttpSignatureError):
        verify_content(head, sha256(b"{}").digest())


def test_signature_of_another_account_is_refused() -> None:
    other = sign_request(
        TARGET, body_digest(BODY), b"\x47" * 32, chain_id=CHAIN, created=NOW, nonce=NONCE
    )
    headers = msgspec.structs.replace(other, signature_input=signed().signature_input)
    with pytest.raises(RequestSignerError, match="signed by 0x"):
        verify(headers)


def test_signature_for_another_chain_is_refused() -> None:
    with pytest.raises(HttpSignatureError, match="signed for chain 1, this is chain 31337"):
        verify(signed(chain_id=1))


# Time


@pytest.mark.parametrize("now", [NOW - 30, NOW, NOW + 59])
def test_request_is_accepted_within_its_time(now: int) -> None:
    assert verify(signed(), now=now).address == ADDRESS


def test_expired_request_is_refused() -> None:
    with pytest.raises(HttpSignatureError, match="expired 0 s ago"):
        verify(signed(), now=NOW + 60)


def test_clock_off_by_a_day_is_named() -> None:
    with pytest.raises(HttpSignatureError, match="created 86400 s in the future"):
        verify(signed(), now=NOW - 86_400)
    with pytest.raises(HttpSignatureError, match="expired 86340 s ago"):
        verify(signed(), now=NOW + 86_400)


def test_request_signed_for_too_long_or_for_no_time_is_refused() -> None:
    assert verify(signed(lifetime=300)).expires == NOW + 300
    for lifetime in (301, 0, -1):
        with pytest.raises(HttpSignatureError, match="1 to 300 seconds"):
            verify(signed(lifetime=lifetime))


# Headers


def test_request_without_signature_is_refused() -> None:
    with pytest.raises(HttpSignatureError, match="no signature-input"):
        received_headers([("Signature", "x")])
    with pytest.raises(HttpSignatureError, match="no signature"):
        received_headers([("Signature-Input", "x")])


def test_header_given_twice_is_refused() -> None:
    pairs = signed().pairs()
    for pair in pairs:
        with pytest.raises(HttpSignatureError, match="more than once"):
            received_headers([*pairs, pair])


INPUT = signed().signature_input
PARAMETERS = INPUT.removeprefix("eth=")


@pytest.mark.parametrize(
    ("signature_input", "error"),
    [
        ("", HttpSignatureError),
        ("eth", HttpSignatureError),
        ("eth=1", HttpSignatureError),
        ("é=" + PARAMETERS, HttpSignatureError),
        ("Eth=" + PARAMETERS, HttpSignatureError),
        (f"{INPUT}, {INPUT}", HttpSignatureError),
        (f"{INPUT},b={PARAMETERS}", HttpSignatureError),
        (INPUT + ";", HttpSignatureError),
        (INPUT + ";alg=eip191", HttpSignatureError),
        (INPUT + ';alg="eip191"', HttpSignatureError),
        (INPUT + ";flag", HttpSignatureError),
        (INPUT + f";created={NOW}", HttpSignatureError),
        (INPUT.replace(";created", "; created"), HttpSignatureError),
        (INPUT.replace("created=1", "created=01"), HttpSignatureError),
        (INPUT.replace("created=1", "created=-1"), HttpSignatureError),
        (INPUT.replace(f"created={NOW}", f'created="{NOW}"'), HttpSignatureError),
        (INPUT.replace(f"created={NOW}", f"created={NOW}.0"), HttpSignatureError),
        (INPUT.replace(f"expires={NOW + 60}", "expires=1" + "0" * 15), HttpSignatureError),
        (INPUT.replace(f';nonce="{NONCE}"', ""), HttpSignatureError),
        (INPUT.replace(f'"{NONCE}"', "12345678901234567"), HttpSignatureError),
        (INPUT.replace(NONCE, "too-short"), HttpSignatureError),
        (INPUT.replace(NONCE, "x" * 129), HttpSignatureError),
        (INPUT.replace(NONCE, 'x\\"' * 10), HttpSignatureError),
        (INPUT.replace(NONCE, "with space and more"), HttpSignatureError),
        (INPUT.replace("erc8128:", "eip155:"), HttpSignatureError),
        (INPUT.replace(":31337:", ":031337:"), HttpSignatureError),
        (INPUT.replace(":31337:", ":"), HttpSignatureError),
        (INPUT.replace(to_hex(ADDRESS), to_hex(ADDRESS).upper()), HttpSignatureError),
        (INPUT.replace(to_hex(ADDRESS), to_hex(ADDRESS)[:-1]), HttpSignatureError),
        (INPUT.replace('"@method" ', '"@method"  '), HttpSignatureError),
        (INPUT.replace('"@method"', '"@query-param";name="a"'), HttpSignatureError),
        (INPUT.replace('"@method"', "@method"), HttpSignatureError),
        (INPUT.replace('"@method" ', ""), HttpSignatureError),
        (INPUT.replace('"@method"', '"@method" "@method"'), HttpSignatureError),
        (INPUT.replace('"@method"', '"@method" "content-type"'), HttpSignatureError),
        (INPUT.replace('"@method"', '"@method" "é"'), HttpSignatureError),
        (INPUT[INPUT.index(")") :].replace(")", "eth=()"), HttpSignatureError),
    ],
)
def test_signature_input_of_another_shape_is_refused(
    signature_input: str, error: type[HttpSignatureError]
) -> None:
    with pytest.raises(error):
        verify(msgspec.structs.replace(signed(), signature_input=signature_input))


SIGNATURE = signed().signature


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("", "profile's shape"),
        (SIGNATURE.replace("eth", "sig1"), "different labels"),
        (SIGNATURE.replace(":", ""), "profile's shape"),
        (SIGNATURE + ", " + SIGNATURE, "profile's shape"),
        ("eth=:A:", "not base64"),
        ("eth=:AB==:", "not canonical base64"),
        ("eth=::", "has 65 bytes, this has 0"),
        ("eth=:AAAA:", "has 65 bytes, this has 3"),
    ],
)
def test_signature_of_another_shape_is_refused(signature: str, message: str) -> None:
    with pytest.raises(HttpSignatureError, match=message):
        verify(msgspec.structs.replace(signed(), signature=signature))


@pytest.mark.parametrize(
    "content_digest",
    [
        "",
        "sha-256=:AAAA:",
        "sha-512=:AAAA:",
        f"{signed().content_digest}, sha-512=:AAAA:",
        f"sha-256={sha256(BODY).hexdigest()}",
        "sha-256=:A:",
    ],
)
def test_content_digest_of_another_shape_is_refused(content_digest: str) -> None:
    with pytest.raises(HttpSignatureError):
        verify(msgspec.structs.replace(signed(), content_digest=content_digest))


def test_component_outside_the_profile_has_no_line() -> None:
    with pytest.raises(HttpSignatureError, match="@status cannot be covered"):
        signature_base(TARGET, None, ("@status",), "()")


def test_nonce_that_could_not_be_verified_is_not_signed() -> None:
    with pytest.raises(HttpSignatureError, match="nonce"):
        sign_request(TARGET, None, KEY, chain_id=CHAIN, created=NOW, nonce='"')


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=60),
    part=st.sampled_from(["signature_input", "signature", "content_digest"]),
    at=st.integers(0, 250),
)
def test_headers_with_anything_put_in_are_refused_cleanly(text: str, part: str, at: int) -> None:
    good = getattr(signed(), part)
    changed = good[:at] + text + good[at:]
    headers = msgspec.structs.replace(signed(), **{part: changed})
    if headers == signed():
        return
    with pytest.raises(HttpSignatureError):
        verify(headers)


# Targets


@pytest.mark.parametrize(
    ("url", "authority", "path", "query"),
    [
        ("https://Gateway.Example:443", "gateway.example", "/", ""),
        ("http://127.0.0.1:80/a", "127.0.0.1", "/a", ""),
        ("http://127.0.0.1:443/a", "127.0.0.1:443", "/a", ""),
        ("https://[::1]:8000/a%2Fb?x=%20#part", "[::1]:8000", "/a%2Fb", "x=%20"),
        ("https://gateway.example/?", "gateway.example", "/", ""),
        ("https://gateway.example/a?b?c=/&d", "gateway.example", "/a", "b?c=/&d"),
    ],
)
def test_url_gives_its_target(url: str, authority: str, path: str, query: str) -> None:
    assert target_of("get", url) == RequestTarget("GET", authority, path, query)


@pytest.mark.parametrize(
    "url",
    [
        "/v1/inbox",
        "ftp://gateway.example/",
        "https://user@gateway.example/",
        "https:///path",
        "https://[::1/",
        "https://gateway.example/数据",
        "https://gateway.example/a b",
        "https://gateway.example/?a b",
    ],
)
def test_url_that_cannot_be_signed_is_refused(url: str) -> None:
    with pytest.raises(HttpSignatureError):
        target_of("GET", url)


@pytest.mark.parametrize("path", ["", "a", "/a?b", "/a#b", '/a\n"@method": GET', "/a\x7f"])
def test_path_that_could_forge_a_line_is_refused(path: str) -> None:
    with pytest.raises(HttpSignatureError, match="path"):
        RequestTarget("GET", "gateway.example", path)


def test_usual_port_is_no_part_of_the_authority() -> None:
    assert authority_of("Gateway.example:80", "http") == "gateway.example"
    assert authority_of("gateway.example:8080", "http") == "gateway.example:8080"


# The specification's vectors


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["name"])
def test_vector_is_signed_as_eth_account_signs(vector: dict[str, Any]) -> None:
    base = encode_defunct(text="\n".join(vector["signature_base"]))
    signature = Account.sign_message(base, VECTORS["private_key"]).signature
    assert vector["headers"]["Signature"] == f"eth=:{b64encode(signature).decode()}:"
    verified = verify_request(
        RequestTarget(**vector["target"]),
        vector["body"].encode(),
        received_headers(vector["headers"].items()),
        chain_id=VECTORS["chain_id"],
        now=vector["now"],
    )
    assert verified.address == from_hex(VECTORS["address"])


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_a_negative_vector_is_refused(vector: dict[str, Any]) -> None:
    first = VECTORS["requests"][0]
    headers = [pair for pair in first["headers"].items() if pair[0] != vector.get("without")]
    with pytest.raises(HttpSignatureError):
        verify_request(
            RequestTarget(**first["target"]),
            vector.get("body", first["body"]).encode(),
            received_headers([*headers, *map(tuple, vector.get("more", []))]),
            chain_id=VECTORS["chain_id"],
            now=first["now"],
        )

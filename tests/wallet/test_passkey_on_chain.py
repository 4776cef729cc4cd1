"""Passkey signatures: offline and on the chain the same ones are accepted."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from eth_abi.abi import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.crypto.signatures import (
    P256_ORDER,
    Assertion,
    decode_assertion,
    encode_assertion,
    verify_assertion,
)
from ledger.errors import SigningError
from ledger.hexstr import from_hex, keccak256, to_hex
from wallet.passkey import SoftwarePasskey

ROOT = Path(__file__).parents[2]
VERIFIER = "0x" + "77" * 20
SELECTOR = keccak256(b"verify(bytes,bytes32,bytes)")[:4]
PASSKEY = SoftwarePasskey(b"\x2a" * 32, "wallet.example")
DIGEST = keccak256(b"a signed record")
SIGNATURE = PASSKEY.sign(DIGEST)
MADE = decode_assertion(SIGNATURE)

Verdict = Callable[[bytes, bytes, bytes], bool]


@pytest.fixture(scope="module")
def on_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    """Asks the deployed bytes of OpenZeppelin's verifier, in a node of its own."""
    (anvil,) = (ROOT / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil")
    artifact = json.loads((ROOT / "ledger/artifacts/ERC7913WebAuthnVerifier.json").read_text())
    state = {VERIFIER: {"code": artifact["deployedBytecode"]}}
    folder = tmp_path_factory.mktemp("anvil")
    arguments = [str(anvil), "--port", "0", "--hardfork", "cancun", "--cache-path", str(folder)]
    output = folder / "output"
    with output.open("wb") as stdout, subprocess.Popen(arguments, stdout=stdout) as node:
        try:
            listening = _awaited_address(output)
            with httpx.Client(base_url=f"http://{listening}", trust_env=False) as client:

                def verdict(key: bytes, digest: bytes, signature: bytes) -> bool:
                    values = encode(["bytes", "bytes32", "bytes"], [key, digest, signature])
                    call = {"to": VERIFIER, "data": to_hex(SELECTOR + values)}
                    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_call"}
                    answer = client.post("/", json=request | {"params": [call, "latest", state]})
                    result = answer.json().get("result", "0x")
                    return from_hex(result)[:4] == SELECTOR

                yield verdict
        finally:
            node.terminate()


def _awaited_address(output: Path) -> str:
    """The node chooses its port and writes it down; not into a pipe, which would fill up."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        listening = re.search(r"Listening on (127\.0\.0\.1:\d+)", output.read_text())
        if listening:
            return listening[1]
        time.sleep(0.02)
    raise TimeoutError("the node does not start")


def offline(key: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        verify_assertion(signature, digest, key)
    except SigningError:
        return False
    return True


def test_software_passkey_is_accepted_on_chain(on_chain: Verdict) -> None:
    assert on_chain(PASSKEY.public_key, DIGEST, SIGNATURE)
    assert offline(PASSKEY.public_key, DIGEST, SIGNATURE)


def with_flags(flags: int) -> Assertion:
    data = bytearray(MADE.authenticator_data)
    data[32] = flags
    return msgspec.structs.replace(MADE, authenticator_data=bytes(data))


BAD_SIGNATURES = {
    "empty": b"",
    "one byte short of a head": SIGNATURE[:191],
    "cut off": SIGNATURE[:-32],
    "high s": encode_assertion(msgspec.structs.replace(MADE, s=P256_ORDER - MADE.s)),
    "r zero": encode_assertion(msgspec.structs.replace(MADE, r=0)),
    "challenge elsewhere": encode_assertion(msgspec.structs.replace(MADE, challenge_index=0)),
    "type far away": encode_assertion(msgspec.structs.replace(MADE, type_index=2**256 - 1)),
    "nobody there": encode_assertion(with_flags(0)),
    "not verified": encode_assertion(with_flags(1)),
    "data far away": SIGNATURE[:128] + b"\xff" * 32 + SIGNATURE[160:],
}


@pytest.mark.parametrize("signature", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_bad_assertion_is_refused_in_both_places(on_chain: Verdict, signature: bytes) -> None:
    assert not on_chain(PASSKEY.public_key, DIGEST, signature)
    assert not offline(PASSKEY.public_key, DIGEST, signature)


def test_other_digest_or_key_is_refused_in_both_places(on_chain: Verdict) -> None:
    other = SoftwarePasskey(b"\x2b" * 32, "wallet.example").public_key
    for key, digest in ((PASSKEY.public_key, bytes(32)), (other, DIGEST), (b"", DIGEST)):
        assert not on_chain(key, digest, SIGNATURE)
        assert not offline(key, digest, SIGNATURE)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, len(SIGNATURE) - 1), byte=st.integers(0, 255))
def test_changed_signature_has_the_same_verdict_in_both_places(
    on_chain: Verdict, at: int, byte: int
) -> None:
    signature = SIGNATURE[:at] + bytes([byte]) + SIGNATURE[at + 1 :]
    assert on_chain(PASSKEY.public_key, DIGEST, signature) == offline(
        PASSKEY.public_key, DIGEST, signature
    )

"""Bytes of others that are nested deep are refused as any others that are not understood.

Decoders raise `RecursionError` also in a member that they only skip; that is no error of theirs, and whoever
catches only these lets one party stop another.
"""

from collections.abc import Callable

import msgspec
import pytest

from ledger.api.access import decode_result, decode_results
from ledger.api.keyholder import decode_answers, decode_tasks
from ledger.chain.rpc import RpcError, _is_failure, _parsed
from ledger.crypto.records import decode_line
from ledger.crypto.released_parts import (
    StatedRequest,
    WrongParts,
    decode_wrong_parts,
    encode_wrong_parts,
)
from ledger.crypto.secret_sharing import HolderSeeds, HolderSubkeys, Release, Seed, pack, unpack
from ledger.errors import MalformedError
from tests.support.lying_keyholder import nested
from wallet.client.calls import Answer, HttpCall, problem_in, reader
from wallet.client.errors import ClientError

ARRAYS = b"[" * 200_000 + b"]" * 200_000
OBJECT = b'{"other":' + ARRAYS + b"}"


class Known(msgspec.Struct):
    a: int = 0


@pytest.mark.parametrize(
    "message",
    [
        Seed(1, (1, 2), bytes(32)),
        HolderSeeds(1, 1, ()),
        HolderSubkeys(1, 1, bytes(32), ()),
        Release(()),
    ],
)
def test_what_is_sealed_may_not_be_nested_deep(message: Release) -> None:
    assert unpack(pack(message), type(message)) == message
    with pytest.raises(MalformedError):
        unpack(nested(pack(message)), type(message))


def test_what_shows_wrong_parts_may_not_be_nested_deep() -> None:
    request = StatedRequest(bytes(20), bytes(32), bytes(32), bytes(32), bytes(32), 0)
    shown = encode_wrong_parts(WrongParts(bytes(20), request, ()))
    assert decode_wrong_parts(shown).holder == bytes(20)
    with pytest.raises(MalformedError):
        decode_wrong_parts(nested(shown))


@pytest.mark.parametrize(
    "decode",
    [
        decode_tasks,
        decode_result,
        decode_results,
        lambda body: decode_answers(body, 1),
        lambda body: decode_line(body + b"\n"),
    ],
)
def test_messages_may_not_be_nested_deep(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(MalformedError):
        decode(OBJECT)


def test_the_answer_of_a_service_or_a_node_may_not_be_nested_deep() -> None:
    call = HttpCall("GET", "/", reader(Known))
    with pytest.raises(ClientError):
        call.result(Answer(200, {}, OBJECT))
    assert problem_in(Answer(500, {}, OBJECT)).problem.status == 500
    with pytest.raises(RpcError):
        _parsed(msgspec.json.Decoder(Known).decode, OBJECT)
    assert not _is_failure(OBJECT)

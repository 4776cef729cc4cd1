"""Files that commands write are plain text too: somebody prints them on a terminal."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.plain_text import is_plain
from tests.support.hostile import HOSTILE, hostile_texts
from wallet.client.calls import Answer
from wallet.client.errors import ClientError
from wallet.client.receipts import decode_receipt, encode_receipt
from wallet.client.relays import my_receipt
from wallet.regulator.exports import AccessRow, Format, open_table

VECTORS: Final = Path(__file__).parents[2] / "docs/spec/vectors"


def row(text: str) -> AccessRow:
    kinds = {field.name: field.type for field in msgspec.structs.fields(AccessRow)}
    values: dict[str, Any] = {name: 1 if kind is int else text for name, kind in kinds.items()}
    return AccessRow(**values)


@pytest.mark.parametrize("text", [*HOSTILE, "x;=1+1"])
def test_tables_of_accesses_are_plain(tmp_path: Path, text: str) -> None:
    for form in (Format.JSON_LINES, Format.CSV):
        with open_table(tmp_path / form.value, form) as add:
            add(row(text))
        written = (tmp_path / form.value).read_bytes().decode()
        assert all(map(is_plain, written.replace("\n", "")))
        assert ";=" not in written or form is Format.JSON_LINES
    told = json.loads((tmp_path / "jsonl").read_bytes())
    assert told["consumer_name"] == text


@given(hostile_texts() | st.sampled_from(HOSTILE))
def test_receipts_are_plain_and_say_the_same(text: str) -> None:
    receipt = decode_receipt((VECTORS / "receipt.json").read_bytes())
    names = (text, *receipt.names[1:])
    written = encode_receipt(msgspec.structs.replace(receipt, names=names))
    assert all(map(is_plain, written.decode().replace("\n", "")))
    assert decode_receipt(written).names == names


@given(hostile_texts())
def test_receipts_of_a_gateway_are_plain_when_they_come(text: str) -> None:
    body = json.dumps({"consumer": text}, ensure_ascii=False).encode()
    told = my_receipt(bytes(32)).result(Answer(200, {}, body))
    assert all(map(is_plain, told.decode()))
    assert json.loads(told) == {"consumer": text}


@pytest.mark.parametrize("body", [b"[" * 90_000 + b"]" * 90_000, b"\xff", b"{", b""])
def test_what_is_no_receipt_is_neither_laid_out_nor_shown(body: bytes) -> None:
    """Indented, 180 kB of brackets are 16 GB of blanks."""
    with pytest.raises(ClientError):
        my_receipt(bytes(32)).result(Answer(200, {}, body))

"""Plain text is a list of code points, decided alike in every language, whatever its Unicode tables are."""

import csv
import io
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import plain_text
from ledger.plain_text import (
    PlainTextError,
    escape_cell,
    escape_html,
    escape_json,
    escape_text,
    is_plain,
    verify_case_number,
    verify_document,
    verify_name,
    verify_optional_text,
    verify_text,
)
from scripts.plain_text import FILES
from tests.support.hostile import HOSTILE, hostile_texts
from tests.vectors.files import vectors

SPEC: Final = Path(__file__).parents[2] / "docs/spec"
VECTORS: Final = vectors("plain-text.json")
KINDS: Final[dict[str, Callable[[str], str]]] = {
    "text": lambda text: verify_text("it", text),
    "name": lambda text: verify_name("it", text),
    "case_number": verify_case_number,
    "document": lambda text: verify_document("it", text),
}


def vectors_of(part: str) -> list[Any]:
    return [(kind, one) for kind, both in VECTORS["kinds"].items() for one in both[part]]


def test_every_code_point_is_decided_alike_in_python_and_in_javascript() -> None:
    done = subprocess.run(
        ["node", "tests/ledger/plain_text.mjs", FILES[0], SPEC / "vectors/plain-text.json"],
        capture_output=True,
        check=True,
        cwd=SPEC.parents[1],
    )
    told = json.loads(done.stdout)
    bits = bytearray(0x110000 // 8)
    for point in range(sys.maxunicode + 1):
        bits[point >> 3] |= is_plain(chr(point)) << (point & 7)
    assert told["problems"] == []
    assert told["decided"] == sha256(bits).hexdigest()


def test_the_package_has_the_list_of_the_specification() -> None:
    assert FILES[0].read_bytes() == FILES[1].read_bytes()
    assert VECTORS["version"] == plain_text.VERSION


def test_names_in_han_extensions_newer_than_this_python_are_plain() -> None:
    assert all(map(is_plain, "\U00020bb7\U0002ebf0\U0002ee5d\U00031350\U000323af〇々"))
    assert not any(map(is_plain, "\U0002ee5e\U000323b0"))


def test_ranges_of_the_list_are_in_hexadecimal_and_hold_both_their_ends() -> None:
    matches = re.compile(f"[{plain_text._class('41-43', '5A', '1F600-1F601')}]").findall
    assert matches("@ABCDYZ[-X\U0001f5ff\U0001f600\U0001f601\U0001f602") == list(
        "ABCZ\U0001f600\U0001f601"
    )


def test_every_plain_text_is_in_normal_form_c() -> None:
    # Of this Python's tables, for what they know: the list itself does not depend on them.
    plain = [chr(point) for point in range(sys.maxunicode + 1) if is_plain(chr(point))]
    text = "".join(plain)
    assert unicodedata.is_normalized("NFC", text)
    assert unicodedata.is_normalized("NFC", text[::-1])
    assert {unicodedata.combining(character) for character in plain} == {0}
    assert not {unicodedata.bidirectional(character) for character in plain} & {"R", "AL", "AN"}


@pytest.mark.parametrize(("kind", "text"), vectors_of("plain"))
def test_text_that_is_plain_is_taken_unchanged(kind: str, text: str) -> None:
    assert KINDS[kind](text) == text


@pytest.mark.parametrize(("kind", "refused"), vectors_of("refused"))
def test_text_that_is_not_plain_is_refused(kind: str, refused: dict[str, str]) -> None:
    with pytest.raises(PlainTextError) as told:
        KINDS[kind](refused["text"])
    # Who reads the refusal is not hit by what was refused.
    assert str(told.value).isascii()


@pytest.mark.parametrize(
    ("verify", "most"),
    [
        (KINDS["text"], 2000),
        (KINDS["name"], 200),
        (KINDS["case_number"], 64),
        (KINDS["document"], 200_000),
        (lambda text: verify_text("it", text, 7), 7),
        (lambda text: verify_optional_text("it", text, 7), 7),
    ],
)
def test_a_text_may_be_as_long_as_is_said_and_no_longer(
    verify: Callable[[str], str], most: int
) -> None:
    for fine in ("x" * most, "\U00031350" * most):
        assert verify(fine) == fine
    with pytest.raises(PlainTextError, match=f"has {most + 1} characters instead of 1 to {most}"):
        verify("x" * (most + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_one_character_is_enough_and_a_refusal_says_of_what_it_is(kind: str) -> None:
    assert KINDS[kind]("x") == "x"
    what = "the case number" if kind == "case_number" else "it"
    for text, fault in (("", "has 0 characters"), ("x\u202e", "has U\\+202E, at character 2")):
        with pytest.raises(PlainTextError, match=f"^{what} {fault}"):
            KINDS[kind](text)


def test_a_text_may_be_left_out_only_where_that_is_said() -> None:
    assert verify_optional_text("it", "") == ""
    with pytest.raises(PlainTextError, match=r"^it has U"):
        verify_optional_text("it", "\u202e")
    with pytest.raises(PlainTextError, match="has 0 characters"):
        verify_text("it", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ab\u202e", "it has U+202E, at character 3"),
        ("Qu\u0430ncheng", "it has a word in two alphabets, at character 2"),
        ("\u0430\u03b1", "it has a word in two alphabets, at character 1"),
        ("\u03b1a", "it has a word in two alphabets, at character 1"),
        ("a\u03b1", "it has a word in two alphabets, at character 1"),
        ("\u0430a", "it has a word in two alphabets, at character 1"),
        ("\u03b1\u0430", "it has a word in two alphabets, at character 1"),
    ],
)
def test_a_refusal_says_which_character_where(text: str, message: str) -> None:
    with pytest.raises(PlainTextError, match=f"^{re.escape(message)}$"):
        verify_text("it", text)


@pytest.mark.parametrize("text", ["(118", "118)", "(118]", ")118("])
def test_brackets_of_a_case_number_come_in_pairs(text: str) -> None:
    with pytest.raises(PlainTextError, match=r"^the case number has brackets that are no pairs$"):
        verify_case_number(text)


@given(hostile_texts(), st.sampled_from(sorted(KINDS)))
@example("118\u3164", "case_number")
def test_no_hostile_text_is_taken_as_any_kind(text: str, kind: str) -> None:
    with pytest.raises(PlainTextError):
        KINDS[kind](text)


@given(st.text(st.characters(), min_size=1))
def test_whatever_is_taken_is_shown_as_it_is(text: str) -> None:
    try:
        verify_text("it", text)
    except PlainTextError:
        return
    assert escape_text(text) == text
    assert unicodedata.is_normalized("NFC", text) or not text.isascii()


# What is shown


@given(st.text() | hostile_texts())
def test_text_shown_on_a_terminal_moves_turns_and_hides_nothing(text: str) -> None:
    shown = escape_text(text)
    assert all(map(is_plain, shown))
    back = re.sub(r"\\u\{([0-9A-F]+)\}", lambda found: chr(int(found[1], 16)), shown)
    if "\\u{" not in text:
        assert back == text
    for encoding in ("gbk", "ascii", "latin-1"):
        escape_text(text, encoding).encode(encoding)


@given(st.text() | hostile_texts() | st.just("<script>alert(1)</script>\"'&"))
def test_text_shown_in_html_is_no_markup(text: str) -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(f"{tag} {attrs}")

        def handle_data(self, data: str) -> None:
            seen.append(data)

    reader = Reader()
    reader.feed(escape_html(text))
    reader.close()
    assert "".join(seen) == escape_text(text)


@given(
    st.text() | hostile_texts() | st.sampled_from(["=1+1", " =1", "@x", "＝1", "+1", "-1", "\t=1"])
)
def test_text_shown_in_a_table_is_no_formula(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([escape_cell(text), "next"])
    (row,) = csv.reader(io.StringIO(stream.getvalue()))
    assert row[0].replace("'", "") == escape_text(text).replace("'", "")
    assert row[0].strip(" ")[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    assert row[1:] == ["next"]


@given(
    st.lists(
        st.sampled_from(
            ["x", "1", ";", ",", "|", "\t", " ", "；", "，", "=", "+", "-", "@", "＝", '"', "'"]
        )
    ).map("".join)
)
@example("x;=1+1")
@example("x; =cmd|' /C calc'!A0")
def test_text_shown_in_a_table_is_no_formula_in_another_locale_either(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([escape_cell(text), "next"])
    for delimiter in (",", ";", "|", "\t", "；", "，"):
        for cell in stream.getvalue().split(delimiter):
            assert cell.strip(" ")[:1] not in tuple("=+-@＝＋－＠"), delimiter


@given(st.text(st.characters()) | st.sampled_from(HOSTILE))
def test_json_that_is_shown_says_the_same_and_is_plain(text: str) -> None:
    for encoding in ("utf-8", "gbk", "ascii"):
        shown = escape_json(json.dumps({"text": text}, ensure_ascii=False, indent=2), encoding)
        shown.encode(encoding)
        assert all(map(is_plain, shown.replace("\n", "")))
        assert json.loads(shown) == {"text": text}


STROKES: Final = (
    *(0x4E28, 0x4E36, 0x4E3F, 0x4E40, 0x4E41, 0x4E5A, 0x4E5B, 0x4E85, 0x200C9, 0x200CA, 0x200CB),
    *(0x200CC, 0x200CD, 0x200CE, 0x200D1, 0x2010C, 0x2010E, 0x21FE8, 0x2A6D9, 0x2CF02),
)
"""Of one stroke in Unihan, but for 一 and 乙; and U+2010E."""


def test_single_stroke_is_not_plain_but_where_names_have_it() -> None:
    for stroke in map(chr, STROKES):
        assert not is_plain(stroke)
        with pytest.raises(PlainTextError):
            verify_case_number(f"118{stroke}9")
    assert verify_case_number("一乙丁") == verify_name("it", "一乙丁") == "一乙丁"

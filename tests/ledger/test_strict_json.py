"""How deep a text is nested is asked before anybody knows who sent it: it costs time by the byte, and no more."""

import contextlib
import json
import subprocess
import sys
import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import jsonio
from ledger.jsonio import JsonError, check_depth, parse_json

LENGTH: Final = 1_000_000

HOSTILE: Final = {
    "string without an end": (b'["', b'\\"', b""),
    "string that ends in a backslash": (b'["', b'\\"', b"\\"),
    "string of backslashes": (b'["', b"\\\\", b""),
    "backslashes outside": (b"[" * 40, b"\\", b""),
    "quotes": (b"[" * 40, b'"', b""),
    "strings of brackets": (b"", b'"["[', b""),
    "opening": (b"", b"[", b""),
    "closing": (b"", b"]", b""),
    "pairs": (b"[", b"[]", b""),
    "wrong pairs": (b"", b"[}", b""),
    "objects": (b"", b'{"a":', b""),
    "deepest allowed": (b"[", b"[" * 31 + b"]" * 31 + b",", b""),
}


def hostile(form: str, length: int) -> bytes:
    before, pumped, after = HOSTILE[form]
    return before + pumped * (length // len(pumped)) + after


def seconds(data: bytes) -> float:
    """Of this process alone, the best of three: others on the machine do not count."""
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        with contextlib.suppress(JsonError):
            check_depth(data)
        best = min(best, time.process_time() - begun)
    return best


@pytest.mark.parametrize("form", HOSTILE)
def test_time_grows_with_the_text_and_not_with_its_square(form: str) -> None:
    # Small first: what is quadratic would otherwise take hours to fail.
    for length in (8_000, 64_000):
        assert seconds(hostile(form, length)) < 0.2, f"{length} bytes"
    half, whole = (seconds(hostile(form, length)) for length in (LENGTH // 2, LENGTH))
    assert whole < 3 * half + 0.05


@pytest.mark.parametrize(
    "pumped", ['["]",', '{"}":', '["\\"]",', '[{"}]":', '["\\\\",["]"],', '["a\\\\\\"]",']
)
def test_brackets_in_strings_close_nothing(pumped: str) -> None:
    with pytest.raises(JsonError, match="nested deeper"):
        check_depth(pumped * 40)
    with pytest.raises(JsonError, match="nested deeper"):
        check_depth((pumped * 40).encode())


def test_hidden_brackets_do_not_kill_a_process_that_allows_deep_recursion() -> None:
    program = (
        "import sys; sys.setrecursionlimit(100_000)\n"
        "from ledger.jsonio import JsonError, parse_json\n"
        "try:\n    parse_json('[\"]\",' * 100_000)\nexcept JsonError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "nested deeper than 32")


def depth_to_a_parser(text: str) -> int:
    """Return how deep a parser gets before it stops: read character by character."""
    open_: list[str] = []
    deepest, place = 0, 0
    while place < len(text):
        sign = text[place]
        if sign == '"':
            place += 1
            while place < len(text) and text[place] != '"':
                place += 2 if text[place] == "\\" else 1
        elif sign in "[{":
            open_.append({"[": "]", "{": "}"}[sign])
            deepest = max(deepest, len(open_))
        elif sign in "]}":
            if not open_ or open_.pop() != sign:
                return deepest
        elif sign == "\\":
            return deepest
        place += 1
    return deepest


@given(
    st.lists(
        st.sampled_from(["[", "]", "{", "}", '"', "\\", "a", "[]", '"]"', '"\\"', '["']),
        max_size=60,
    )
)
def test_nothing_deeper_gets_to_a_parser(pieces: list[str]) -> None:
    text = "".join(pieces)
    most = jsonio.MAX_DEPTH
    text = "[" * (most - 2) + text  # so that few more are too many
    try:
        check_depth(text)
    except JsonError:
        return
    assert depth_to_a_parser(text) <= most


json_values = st.recursive(
    st.text('[]{}"\\a,:é', max_size=6) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('[]{}"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=40,
)


@given(json_values, st.integers(0, 40))
def test_honest_text_is_refused_just_when_it_is_deeper(value: object, more: int) -> None:
    text = "[" * more + json.dumps(value) + "]" * more
    if depth_to_a_parser(text) > jsonio.MAX_DEPTH:
        with pytest.raises(JsonError, match="nested deeper"):
            parse_json(text)
    else:
        assert parse_json(text) == json.loads(text)


def test_piece_of_marks_may_end_within_a_string(monkeypatch: pytest.MonkeyPatch) -> None:
    for piece in range(1, 9):
        monkeypatch.setattr(jsonio, "_PIECE", piece)
        check_depth('["]]]]","[[[[",["[{[{"]]' * 50 + "]")
        with pytest.raises(JsonError):
            check_depth('["]]]]","[[[[",["[{[{"]' * 50)

"""No regular expression takes longer than in proportion to a text: whatever strangers send, they are asked.

Each expression of the product is run, as the product runs it, on texts made for it: the shortest text that it takes,
with each part that may be repeated, repeated.
"""

import ast
import importlib
import itertools
import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("ledger", "gateway", "wallet")
METHODS: Final = frozenset(("match", "fullmatch", "search", "sub", "finditer", "findall", "split"))
SMALL, LARGE, LENGTH = 4_000, 32_000, 1_000_000
REPEATS: Final = frozenset((sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT))
ENDS: Final = ("", "\0", '"', "\\", " ", "\n", "!")


def namespace(path: Path) -> dict[str, Any]:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return vars(importlib.import_module(name))


def expressions() -> dict[str, tuple[str | bytes, int, frozenset[str]]]:
    """Return all expressions by name: pattern, flags, and the methods that it is run with."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    everything = "\n".join(texts.values())
    found: dict[str, tuple[str | bytes, int, frozenset[str]]] = {}
    for path, text in texts.items():
        where = str(path.relative_to(ROOT))
        if "re.compile(" in text:
            for name, value in namespace(path).items():
                if isinstance(value, re.Pattern) and re.search(rf"^{name}\b", text, re.MULTILINE):
                    # A name without an underscore is used by other modules too.
                    users = text if name.startswith("_") else everything
                    methods = {one for one in METHODS if re.search(rf"\b{name}\.{one}\b", users)}
                    found[f"{where}:{name}"] = (
                        value.pattern,
                        value.flags,
                        frozenset(methods or ("match", "fullmatch")),
                    )
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            inline = called.startswith("re.") and called[3:] in METHODS
            given = [each.value for each in node.keywords if each.arg == "pattern"]
            # A helper's own parameter: who calls the helper names the expression.
            given = [each for each in given if ast.unparse(each) != "pattern"]
            for pattern in [*given, *(node.args[:1] if inline else ())]:
                value = eval(ast.unparse(pattern), dict(namespace(path)))
                method = called[3:] if inline else "search"
                found[f"{where}:{node.lineno}"] = (value, 0, frozenset((method,)))
    return found


def sample(part: Any) -> str:
    """Return a short text that a part of an expression takes."""
    kind, value = part
    if kind in (sre.LITERAL, sre.NOT_LITERAL):
        return chr(value) if kind is sre.LITERAL else next(c for c in 'a"\\0' if ord(c) != value)
    if kind is sre.ANY:
        return "a"
    if kind is sre.IN:
        return characters(value)[0]
    if kind in REPEATS:
        low, _, inner = value
        return "".join(map(sample, inner)) * int(max(low, 1))
    if kind is sre.SUBPATTERN:
        return "".join(map(sample, value[-1]))
    if kind is sre.ATOMIC_GROUP:
        return "".join(map(sample, value))
    if kind is sre.BRANCH:
        return "".join(map(sample, value[1][0]))
    return ""


def characters(members: Any) -> list[str]:
    """Return a few of the characters of a class."""
    if members[0][0] is sre.NEGATE:
        pattern = [part for part in members[1:] if part[0] is sre.LITERAL]
        without = {chr(value) for _, value in pattern}
        return [c for c in ("a", '"', "\\", " ", ";", "0", ",", "=", "é") if c not in without][:4]
    chosen = []
    for kind, value in members:
        if kind is sre.LITERAL:
            chosen.append(chr(value))
        elif kind is sre.RANGE:
            chosen += [chr(value[0]), chr(value[1])]
        elif kind is sre.CATEGORY:
            chosen.append({sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}.get(value, "a"))
            if value is sre.CATEGORY_SPACE:
                chosen.append("\n")
    return chosen


def pumps(parts: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield what comes before each part that may be repeated, and what may be repeated there."""
    for part in parts:
        kind, value = part
        inner: list[Any] = []
        if kind in REPEATS:
            inner = [value[2]]
            if value[1] > 1000:
                yield before, sample((sre.SUBPATTERN, (None, 0, 0, value[2])))
                for alternative in single_characters(value[2]):
                    yield before, alternative
        elif kind is sre.SUBPATTERN:
            inner = [value[-1]]
        elif kind is sre.BRANCH:
            inner = list(value[1])
        for each in inner:
            yield from pumps(each, before)
        before += sample(part)


def signs_of(parts: Any) -> Iterator[str]:
    """Yield what is no letter or digit of all classes and literals, inside groups too."""
    for kind, value in parts:
        if kind is sre.IN:
            yield from (sign for sign in characters(value) if not sign.isalnum())
        elif kind in REPEATS:
            yield from signs_of(value[2])
        elif kind is sre.SUBPATTERN:
            yield from signs_of(value[-1])
        elif kind is sre.BRANCH:
            for each in value[1]:
                yield from signs_of(each)
        elif kind is sre.LITERAL and not chr(value).isalnum():
            yield chr(value)


def single_characters(parts: Any) -> list[str]:
    if len(parts) == 1 and parts[0][0] is sre.IN:
        return characters(parts[0][1])
    return []


def hostile(pattern: str | bytes, flags: int) -> set[tuple[str, str]]:
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    parts = list(parser.parse(text, flags & ~re.UNICODE))
    whole = "".join(map(sample, parts))
    signs = sorted({"a", "0", " ", '"', "\\", *signs_of(parts)} - {""})[:14]
    made = set(pumps(parts))
    made |= {("", sign) for sign in signs}
    made |= {("", "".join(pair)) for pair in itertools.combinations(signs, 2)}
    made |= {("", whole), *(("", whole[:place]) for place in range(1, min(len(whole), 12)))}
    made |= {(whole[:place], whole[place : place + 1]) for place in range(min(len(whole), 40))}
    return {(before, pumped) for before, pumped in made if pumped}


def run(compiled: "re.Pattern[Any]", method: str, text: Any) -> None:
    if method == "finditer":
        for _ in compiled.finditer(text):
            pass
    elif method == "sub":
        compiled.sub(text[:0], text)
    else:
        getattr(compiled, method)(text)


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def linear() -> float:
    """Return what an expression that cannot go back takes for the longest text: what others are measured by."""
    plain = re.compile("(?:[^\0]b?)*+")
    text = "a" * LENGTH
    return seconds(lambda: plain.fullmatch(text))


EXPRESSIONS: Final = expressions()


def test_all_are_seen() -> None:
    assert len(EXPRESSIONS) > 60
    assert {"ledger/plain_text.py:_FORMULA", "ledger/plain_text.py:FOREIGN"} <= EXPRESSIONS.keys()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_time_grows_with_the_text_and_not_with_its_square(name: str) -> None:
    pattern, flags, methods = EXPRESSIONS[name]
    compiled = re.compile(pattern, flags)
    slowest: tuple[float, str, Any] = (0.0, "", "")
    for (before, pumped), end, method in itertools.product(hostile(pattern, flags), ENDS, methods):

        def text(length: int, parts: tuple[str, str, str] = (before, pumped, end)) -> Any:
            made = parts[0] + parts[1] * (length // len(parts[1])) + parts[2]
            return made.encode("latin-1", "replace") if isinstance(pattern, bytes) else made

        took = seconds(partial(run, compiled, method, text(SMALL)), 1)
        if took > slowest[0]:
            slowest = (took, method, text)
    _, method, text = slowest
    # In steps: what is quadratic would take hours at once. It takes 64 times as long for 8 times the text.
    large = text(LARGE)
    assert seconds(lambda: run(compiled, method, large)) < 0.1, (method, large[:60])
    half, whole = text(LENGTH // 2), text(LENGTH)
    took = seconds(lambda: run(compiled, method, whole))
    assert took < 3 * seconds(lambda: run(compiled, method, half)) + 0.05, (method, large[:60])
    assert took < 30 * linear(), (method, large[:60])


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r'"[^"\\]*(?:\\.[^"\\]*)*"', "sub"),
        (r"(?:a|a)*b", "match"),
        (r"[;\t]\s*=", "search"),
        (r"[a-z]+:", "finditer"),
    ],
)
def test_control_slow_expressions_are_seen(
    pattern: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.ledger.test_expressions.SMALL", 2_000)
    monkeypatch.setattr("tests.ledger.test_expressions.LARGE", 16_000)
    monkeypatch.setitem(EXPRESSIONS, "slow", (pattern, 0, frozenset((method,))))
    if pattern.startswith("(?:a|a)"):
        monkeypatch.setattr("tests.ledger.test_expressions.SMALL", 16)
        monkeypatch.setattr("tests.ledger.test_expressions.LARGE", 22)
    with pytest.raises(AssertionError):
        test_time_grows_with_the_text_and_not_with_its_square("slow")

"""Reads JSON Lines: an object a line, its members the columns, nothing nested."""

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from wallet.provider.csv_source import Lines
from wallet.provider.quality import Defect, Kind
from wallet.provider.rows import Cells, Read

_MOST_BRACKETS: Final = 512
"""More opening brackets than an honest line has; deep nesting would overflow the parser's stack."""


class _Pairs(list[tuple[str, object]]):
    """The members of an object, in the order of the text, repeated ones too."""


class _UnfitValueError(Exception):
    """A value is neither text nor number nor null."""


def read_json_lines(lines: Lines, columns: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of a JSON Lines file.

    Numbers keep their text: 12.50 stays 12.50.

    Raises:
        SourceError: a line is too long.
    """
    expected = frozenset(columns)
    for text in lines:
        line = lines.record.pop()
        if not text.strip():
            continue
        if not line.sound:
            yield Defect(line.number, Kind.WRONG_ENCODING)
            continue
        pairs = _pairs(text)
        if pairs is None:
            cut = not text.endswith("\n")
            yield Defect(line.number, Kind.TRUNCATED if cut else Kind.BROKEN_LINE)
            continue
        members = dict(pairs)
        if len(members) != len(pairs) or members.keys() != expected:
            yield Defect(line.number, Kind.WRONG_COLUMNS, detail=_difference(members, columns))
            continue
        yield _cells(line.number, members, columns)


def _pairs(text: str) -> _Pairs | None:
    if text.count("[") + text.count("{") > _MOST_BRACKETS:
        return None
    try:
        found = json.loads(
            text, object_pairs_hook=_Pairs, parse_float=str, parse_int=str, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, _Pairs) else None


def _refuse(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _difference(members: dict[str, object], columns: tuple[str, ...]) -> str:
    missing = [name for name in columns if name not in members]
    unknown = [name[:40] for name in members if name not in columns]
    if missing:
        return f"missing: {', '.join(missing)}"
    return f"unknown: {', '.join(unknown)}" if unknown else "a member is repeated"


def _cells(number: int, members: dict[str, object], columns: tuple[str, ...]) -> Read:
    texts = []
    for name in columns:
        try:
            texts.append(_text(members[name]))
        except _UnfitValueError:
            return Defect(number, Kind.WRONG_TYPE, name, "neither text nor number nor null")
    return Cells(number, tuple(texts))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _UnfitValueError

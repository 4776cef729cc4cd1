"""Writes the list of code points that plain text may have: docs/spec/plain-text.json.

The list is chosen below, and then only those code points of it remain that Unicode 15.1 assigns, whose
normal form C is certain (NFC_Quick_Check is Yes) and whose combining class is 0. It is made once and
then has a version: whoever changes it raises `VERSION`. Needs the tables of that Unicode version, which
no Python has by itself, and which nothing else here needs:

    uv run --with unicodedata2==15.1.0 python -m scripts.plain_text

Source: Unicode Standard Annex 15 (normalization), Technical Standard 39 (what identifiers leave out).
"""

import importlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
FILES: Final = (
    ROOT / "docs" / "spec" / "plain-text.json",
    ROOT / "ledger" / "plain_text.json",
)
"""The page's file, and the same in the package."""

VERSION: Final = 1
UNICODE: Final = "15.1.0"
"""The first version with Han Extension I, which was made for people's names in GB 18030."""

# Ranges of letters, written as Unicode's files write them.
_LETTERS: Final = {
    # Without the clicks, of which two look like | and !, and U+0149, which Unicode deprecates.
    "latin": "0041-005A 0061-007A 00C0-00D6 00D8-00F6 00F8-0148 014A-017E 0180-01BF 01CD-024F "
    "1E00-1EFF",
    "greek": "0386 0388-03CF",
    "cyrillic": "0400-0481 048A-052F",
    # 々 and 〇 are written in names and numbers. Of the compatibility ideographs only those twelve
    # that are no other character's double. Radicals are left out: they look like characters.
    "han": "3005 3007 3400-4DBF 4E00-9FFF FA0E-FA0F FA11 FA13-FA14 FA1F FA21 FA23-FA24 FA27-FA29 "
    "20000-2A6DF 2A700-2B739 2B740-2B81D 2B820-2CEA1 2CEB0-2EBE0 2EBF0-2EE5D 30000-3134A "
    "31350-323AF",
    "kana": "3041-3096 309D-309E 30A1-30FA 30FC-30FE",
    # Syllables only: single jamo look like strokes, and the fillers are jamo.
    "hangul": "AC00-D7A3",
}
_STROKES: Final = (
    "4E28 4E36 4E3F-4E41 4E5A-4E5B 4E85 200C9-200CE 200D1 2010C 2010E 21FE8 2A6D9 2CF02"
)
"""Han characters that are one stroke, and look like a bar, a comma or the corner of a quotation: all whose kTotalStrokes
is 1 in Unihan 14.0, but 一 and 乙, which names and numbers have; and U+2010E, which is drawn as one hook."""

_QUOTATION_MARKS: Final = '"`′″«»‘“”„‟‹›「」『』〝〞〟＂'
"""And what looks like one. ’ is none of them: it is the apostrophe of People’s."""
_MARKS: Final = (
    "!#$%&'()*+,-./:;<=>?@[]\\^_{|}~"
    "¡¢£¤¥¦§©¬®°±²³µ¶·¹º¿×÷"
    "–—’†‡•…‰※€"
    "℃℉№℡™→←↑↓−√∞≈≠≤≥■□▲△◆◇○◎●★☆①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
    "、。〈〉《》【】〔〕〖〗・㎎㎏㎜㎝㎞㎡㎥"
    "！＃％＆（）＊＋，－．／：；＜＝＞？＠［］＿｛｜｝～￥"
)
_CASE_MARKS: Final = "-_/.#&:·—()[]（）〔〕【】"
"""Characters of a case number beside Latin letters of ASCII, digits and Han characters."""


def make(tables: Any) -> dict[str, object]:
    """Return the list, with the tables of `UNICODE`."""
    left_out = _joining(tables) | set(_spread(_STROKES))

    def kept(points: Iterable[int]) -> list[int]:
        return [point for point in points if _is_fit(point, tables) and point not in left_out]

    chosen = {name: kept(_spread(ranges)) for name, ranges in _LETTERS.items()}
    chosen["digits"] = kept(_spread("0030-0039"))
    chosen["blank"] = [0x20]
    chosen["marks"] = kept(map(ord, _MARKS + _QUOTATION_MARKS))
    return {
        "version": VERSION,
        "unicode": UNICODE,
        "code_points": {name: _ranges(points) for name, points in chosen.items()},
        "quotation_marks": "".join(sorted(_QUOTATION_MARKS)),
        "case_number": {
            "code_points": _ranges(
                [
                    *_spread("0030-0039 0041-005A 0061-007A"),
                    *chosen["han"],
                    *map(ord, _CASE_MARKS),
                ]
            ),
            "brackets": ["()", "[]", "（）", "〔〕", "【】"],
        },
    }


def _spread(ranges: str) -> Iterator[int]:
    for text in ranges.split():
        first, _, last = text.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def _is_fit(point: int, tables: Any) -> bool:
    """Whether a code point is assigned, visible, the same in normal form C, and turns nothing."""
    character = chr(point)
    return (
        tables.category(character)[0] in "LNPS"
        and tables.combining(character) == 0
        and tables.bidirectional(character) not in ("R", "AL", "AN")
        and tables.normalize("NFC", character) == character
    )


def _joining(tables: Any) -> set[int]:
    """Return what may join the character before it: NFC_Quick_Check is Maybe."""
    joining = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # of Hangul, by arithmetic
    for point in range(sys.maxunicode + 1):
        parts = tables.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joining.add(int(parts[1], 16))
    return joining


def _ranges(points: Iterable[int]) -> list[str]:
    found: list[list[int]] = []
    for point in sorted(set(points)):
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return [f"{first:04X}" if first == last else f"{first:04X}-{last:04X}" for first, last in found]


def main() -> int:
    """Write the files; the process's exit code."""
    try:
        tables = importlib.import_module("unicodedata2")
    except ImportError:
        print(__doc__, file=sys.stderr)
        return 1
    if tables.unidata_version != UNICODE:
        print(f"has the tables of Unicode {tables.unidata_version}", file=sys.stderr)
        return 1
    text = json.dumps(make(tables), ensure_ascii=False, indent=1) + "\n"
    for path in FILES:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

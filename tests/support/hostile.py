"""Texts with which somebody attacks whoever reads them."""

from typing import Final

from hypothesis import strategies as st

HOSTILE: Final = (
    "\x1b[2J\x1b[H\x1b[32mgranted",  # clears the terminal and writes its own
    "\x1b]0;title\x07",
    "\x9b31m",  # the same with a C1 control
    "\x00",
    "a\rb",
    "a\nb",
    "a\tb",
    "\x7f",
    "\x08\x08\x08",
    "\u2028",
    "\u202e321",  # right-to-left override
    "\u2067a\u2069",  # isolates
    "\u200f",
    "\u200b",  # nothing to see
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\u3164",  # Hangul fillers
    "\uffa0",
    "\u115f",
    "\u2800",  # blank of Braille
    "\u3000",
    "\u00a0",
    "\u05d0\u05d1",  # Hebrew
    "\u0628\u0629",  # Arabic
    "e\u0301",
    "\u0489",
    "\ufe0f",
    "\U000e0041",
    "\ue000",
    "\U0010ffff",
    "\U0001f600",
)


def hostile_texts() -> st.SearchStrategy[str]:
    beside = st.text(st.characters(codec="utf-8"), max_size=20) | st.text("=+-@'\"<>&", max_size=5)
    return st.builds(
        lambda before, attack, after: before + attack + after,
        beside,
        st.sampled_from([each for each in HOSTILE if each != "a\nb"]),
        beside,
    )

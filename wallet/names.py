"""Names that a person would take for another's.

A sentence shows one half of a name in each language, while contracts compare whole names: to them
"City Bank" and "假银行 / City Bank" are two names, and to who reads English one. So tools refuse a name of
which a half is another's, or looks like an id. It is the tools of the data bureau and the departments that
do: what these put on chain past their tools nobody refuses (SECURITY.md).
"""

import re
from collections.abc import Iterable
from typing import Final

from ledger.crypto.statement import name_halves
from wallet.client.errors import ClientError, ErrorKind

_LIKE_AN_ID: Final = re.compile(r"0x[0-9a-f]{4}", re.IGNORECASE)


def require_distinct(name: str, others: Iterable[str]) -> str:
    """Return a name if nobody would take it for another, or for an id.

    Args:
        name: as on chain: "中文 / English", or one for both languages.
        others: names of other parties, of other datasets, or of the other fields.

    Raises:
        ClientError (AMBIGUOUS_NAME): somebody would.
    """
    halves = {_folded(half): half for half in name_halves(name)}
    for half in halves.values():
        if _LIKE_AN_ID.search(half):
            raise ClientError(f"{half!r} holds what looks like an id", ErrorKind.AMBIGUOUS_NAME)
    for other in others:
        for half in map(_folded, name_halves(other)):
            if half in halves:
                raise ClientError(
                    f"{halves[half]!r} is already a name, or half of one: {other!r}",
                    ErrorKind.AMBIGUOUS_NAME,
                )
    return name


def require_distinct_fields(names: Iterable[str]) -> None:
    """Check that a person who reads the names of some fields of a dataset knows each from the others.

    Raises:
        ClientError (AMBIGUOUS_NAME): not.
    """
    before: list[str] = []
    for name in names:
        before.append(require_distinct(name, before))


def _folded(half: str) -> str:
    return " ".join(half.casefold().split())

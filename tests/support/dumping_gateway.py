"""A gateway that writes down everything in its memory when it gets SIGUSR1: for the test that it is blind.

Run as `python -m tests.support.dumping_gateway FILE`; otherwise the same as `python -m gateway`.
"""

import gc
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from gateway.app import main

_SHORTEST = 16
_DEPTH = 4


def dump(path: Path) -> None:
    """Write every byte string and text that any object refers to, once, each after its length."""
    gc.unfreeze()  # what `ledger.service.server` hid from the collector is there all the same
    found: set[bytes] = set()
    seen: set[int] = set()
    layer: Iterable[object] = gc.get_objects()
    for _ in range(_DEPTH):
        following: list[object] = []
        for one in layer:
            if id(one) in seen:
                continue
            seen.add(id(one))
            taken = _bytes_of(one)
            if taken is None:
                following += gc.get_referents(one)
            elif len(taken) >= _SHORTEST:
                found.add(taken)
        layer = following
    with path.with_suffix(".new").open("wb") as file:
        for data in found:
            file.write(len(data).to_bytes(8, "big") + data)
    path.with_suffix(".new").replace(path)


def read_dump(path: Path) -> list[bytes]:
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "big")
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def _bytes_of(one: object) -> bytes | None:
    if isinstance(one, (bytes, bytearray)):
        return bytes(one)
    if isinstance(one, memoryview):
        return one.tobytes()
    if isinstance(one, str):
        return one.encode("utf-8", "replace")
    if isinstance(one, int) and one.bit_length() > 8 * _SHORTEST:
        return one.to_bytes((one.bit_length() + 7) // 8, "big")
    return None


if __name__ == "__main__":
    target = Path(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: dump(target))
    sys.exit(main())

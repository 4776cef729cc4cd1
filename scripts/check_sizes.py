"""Print the runtime size of each contract that is shipped, and fail above its bound.

    python -m scripts.check_sizes

Chains refuse more than 24,576 bytes. Authorizations has a bound of its own: the next version of the law
adds to it, so room is kept.
"""

from __future__ import annotations

import json
import sys

from scripts.build import ARTIFACTS, SHIPPED

MAX_BYTES = 24_000
MAX_BYTES_OF = {"Authorizations": 20_000}


def sizes() -> dict[str, int]:
    """Return the bytes of each shipped contract's runtime code, by its name."""
    return {target.contract: _size(target.contract) for target in SHIPPED}


def too_large(found: dict[str, int]) -> list[str]:
    """Return one line for each contract above its bound."""
    bounds = {contract: MAX_BYTES_OF.get(contract, MAX_BYTES) for contract in found}
    return [
        f"{contract} has {size:,} bytes, more than {bounds[contract]:,}"
        for contract, size in found.items()
        if size > bounds[contract]
    ]


def _size(contract: str) -> int:
    artifact = json.loads((ARTIFACTS / f"{contract}.json").read_text(encoding="utf-8"))
    return len(bytes.fromhex(artifact["deployedBytecode"].removeprefix("0x")))


def main() -> int:
    """Print the sizes; return the exit status."""
    measured = sizes()
    for contract, size in measured.items():
        bound = MAX_BYTES_OF.get(contract, MAX_BYTES)
        print(f"{contract:26} {size:6,} of {bound:6,} bytes")
    problems = too_large(measured)
    for problem in problems:
        print(f"check-sizes: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

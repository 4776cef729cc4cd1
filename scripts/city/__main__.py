"""The command line: `python -m scripts.city --out DIR --seed N`."""

import argparse
import sys
from pathlib import Path

from scripts.city.errors import CityError
from scripts.city.write import NATURAL, Size, write_city


def main(arguments: list[str] | None = None) -> int:
    """Write a city; return the exit status."""
    usual = Size()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.city", description="Write a synthetic city's files."
    )
    parser.add_argument("--out", type=Path, required=True, help="directory to write to")
    parser.add_argument("--seed", type=int, required=True, help="the same seed, the same bytes")
    parser.add_argument("--people", type=int, default=usual.people)
    parser.add_argument("--enterprises", type=int, default=usual.enterprises)
    parser.add_argument(
        "--records", type=int, default=usual.records, help="fewest records in all datasets together"
    )
    parser.add_argument(
        "--real-estate-records",
        type=int,
        default=NATURAL,
        help="exactly so many (default: what the people own)",
    )
    parser.add_argument("--plain", action="store_true", help="every dataset as CSV in UTF-8")
    options = parser.parse_args(arguments)
    size = Size(options.people, options.enterprises, options.records, options.real_estate_records)
    try:
        manifest = write_city(options.out, options.seed, size, plain=options.plain)
    except (CityError, OSError) as error:
        print(f"city: {error}", file=sys.stderr)
        return 1
    for register in manifest.registers:
        print(f"{register.records:>10,}  {register.file}")
    for entry in manifest.datasets:
        print(f"{entry.records:>10,}  {entry.file}")
    print(
        f"{manifest.records:>10,}  records in {len(manifest.datasets)} datasets, in {options.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`datasets.json`: what a directory of city files holds, for programs that do not import this package."""

from pathlib import Path
from typing import Final

import msgspec

from scripts.city.catalogue import Dataset, Register
from scripts.city.errors import CityError

MANIFEST_FILE: Final = "datasets.json"


class Manifest(msgspec.Struct, frozen=True):
    """The files that were written, and the numbers from which the same city can be made again."""

    seed: int
    people: int
    enterprises: int
    registers: tuple[Register, ...]
    datasets: tuple[Dataset, ...]

    def dataset(self, code: str) -> Dataset:
        """Return the dataset with that code, with the format in which it was written.

        Raises:
            CityError: there is none.
        """
        for dataset in self.datasets:
            if dataset.code == code:
                return dataset
        raise CityError(f"the manifest has no dataset {code!r}")

    @property
    def records(self) -> int:
        """How many records the datasets have together."""
        return sum(dataset.records or 0 for dataset in self.datasets)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `datasets.json`, readable by people."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    (directory / MANIFEST_FILE).write_bytes(text)


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a directory.

    Raises:
        CityError: there is none, or it is not one.
    """
    try:
        return msgspec.json.decode((directory / MANIFEST_FILE).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise CityError(f"no manifest in {directory}: {error}") from error

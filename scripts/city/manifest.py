"""`datasets.json`: what a directory of city files holds, for programs that do not import this package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from scripts.city.catalogue import DEPARTMENTS, Dataset, Register
from scripts.city.errors import CityError

MANIFEST_FILE: Final = "datasets.json"


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """A register that was written, and how many lines follow its header."""

    register: Register
    records: int


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """A dataset that was written, and how many records it has."""

    dataset: Dataset
    records: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files that were written, and the numbers from which the same city can be made again."""

    seed: int
    people: int
    enterprises: int
    registers: tuple[RegisterFile, ...]
    datasets: tuple[DatasetFile, ...]

    def dataset(self, code: str) -> Dataset:
        """Return the dataset with that code, with the format in which it was written.

        Raises:
            CityError: there is none.
        """
        for entry in self.datasets:
            if entry.dataset.code == code:
                return entry.dataset
        raise CityError(f"the manifest has no dataset {code!r}")

    @property
    def records(self) -> int:
        """How many records the datasets have together."""
        return sum(entry.records for entry in self.datasets)


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write `datasets.json`, readable by people; return its path."""
    document = {
        "city": {"title_zh": "泉城市", "title_en": "Quancheng"},
        "seed": manifest.seed,
        "people": manifest.people,
        "enterprises": manifest.enterprises,
        "departments": msgspec.to_builtins(DEPARTMENTS),
        "registers": [
            msgspec.to_builtins(entry.register) | {"records": entry.records}
            for entry in manifest.registers
        ],
        "datasets": [
            msgspec.to_builtins(entry.dataset)
            | {"key_column": entry.dataset.key_column or None, "records": entry.records}
            for entry in manifest.datasets
        ],
    }
    path = directory / MANIFEST_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return path


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a directory.

    Raises:
        CityError: there is none, or it is not one.
    """
    path = directory / MANIFEST_FILE
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
        return Manifest(
            document.seed,
            document.people,
            document.enterprises,
            tuple(
                RegisterFile(msgspec.json.decode(raw, type=Register), _count(raw))
                for raw in document.registers
            ),
            tuple(
                DatasetFile(msgspec.json.decode(raw, type=Dataset), _count(raw))
                for raw in document.datasets
            ),
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise CityError(f"no manifest in {directory}: {error}") from error


class _Document(msgspec.Struct):
    """The parts of the file that are read back; the entries are decoded one by one."""

    seed: int
    people: int
    enterprises: int
    registers: tuple[msgspec.Raw, ...]
    datasets: tuple[msgspec.Raw, ...]


class _Records(msgspec.Struct):
    """Members of an entry beside its definition."""

    records: int


def _count(raw: msgspec.Raw) -> int:
    return msgspec.json.decode(raw, type=_Records).records

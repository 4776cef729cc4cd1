"""The description of a dataset: its file, its columns and its classification.

A description is a JSON or YAML file, either of one dataset or with a list `datasets` of them, as a
department's system writes it:

    {"code": "real-estate", "title_zh": "不动产登记信息", "title_en": "Real estate registration",
     "file": "real-estate.csv", "format": "csv", "encoding": "utf-8",
     "key_kind": "resident", "key_column": "resident_id", "number_column": "registration_number",
     "fields": [{"name": "floor_area", "title_zh": "建筑面积", "title_en": "Floor area",
                 "type": "decimal", "optional": false}, ...],
     "sharing_class": "Conditional", "open_class": "NotShared", "grade": 3, "personal": true,
     "update_cycle_days": 1}

Titles are registered on chain as "中文 / English": a person's statement is made of them.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from ledger.chain.events import DatasetTerms
from ledger.encoding import MAX_FIELDS
from ledger.jsonio import UNREADABLE
from ledger.model import CLASSES, Class
from ledger.plain_text import PlainTextError, escape_text, verify_name
from wallet.client.errors import ClientError
from wallet.names import require_distinct_fields
from wallet.provider.errors import ProviderError

_SECONDS_PER_DAY: Final = 86_400
_YAML: Final = frozenset((".yaml", ".yml"))
_MAX_BYTES: Final = 2**22


class FieldType(StrEnum):
    """The form of a field's text."""

    TEXT = "text"
    INTEGER = "integer"
    """Digits, with a minus sign when negative."""
    DECIMAL = "decimal"
    """Digits, and if there is a point, digits after it."""
    DATE = "date"
    """Year, month and day, as in 2026-11-01 (ISO 8601)."""


class KeyKind(StrEnum):
    """By what a file knows whom a record is about."""

    RESIDENT = "resident"
    """By resident id (GB 11643)."""
    ENTERPRISE = "enterprise"
    """By unified social credit code (GB 32100)."""
    NONE = "none"
    """The records are about nobody; there is no key column."""


class FileFormat(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


class Encoding(StrEnum):
    """The encoding of a CSV or JSON Lines file."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class FieldDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of a dataset."""

    name: str
    """The column's name in the file."""
    title_zh: str = ""
    title_en: str = ""
    type: FieldType = FieldType.TEXT
    optional: bool = False
    """Whether its value may be missing."""

    @property
    def title(self) -> str:
        """The field's name on chain: "中文 / English", or the column's name."""
        return _title(self.title_zh, self.title_en) or self.name


class Department(msgspec.Struct, frozen=True):
    code: str
    title_zh: str = ""
    title_en: str = ""


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dataset and the file that holds it.

    Raises:
        ProviderError: on construction, if columns repeat, a name cannot stand in a statement, or
            key column and key kind contradict each other.
    """

    code: str
    """Short name, unique for the provider."""
    number_column: str
    """The column of the record numbers: each once in the file, 0 to 2^63 - 1, kept for life."""
    fields: tuple[FieldDescription, ...]
    sharing_class: str
    open_class: str
    grade: int
    personal: bool
    title_zh: str = ""
    title_en: str = ""
    file: str = ""
    """Relative to the description's directory."""
    key_kind: KeyKind = KeyKind.NONE
    key_column: str | None = None
    update_cycle_days: int = 0
    format: FileFormat = FileFormat.CSV
    encoding: Encoding = Encoding.UTF_8
    department: Department | None = None
    records: int | None = None
    """How many there should be, if the description says."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.fields) <= MAX_FIELDS:
            raise ProviderError(
                "Description", f"a dataset has 1 to {MAX_FIELDS} fields, not {len(self.fields)}"
            )
        if bool(self.key_column) != (self.key_kind is not KeyKind.NONE):
            raise ProviderError(
                "Description", "a key column goes with key kind resident or enterprise, only"
            )
        if self.personal and self.key_kind is KeyKind.NONE:
            raise ProviderError(
                "Description", "personal data needs a key that says whom a record is about"
            )
        for names in (self.columns, self.field_titles):
            if "" in names or len(set(names)) != len(names):
                raise ProviderError(
                    "Description", "columns and fields have different names, none of them empty"
                )
        for name in (self.code, self.title, *self.field_titles):
            try:
                verify_name("a title", name)
            except PlainTextError as error:
                raise ProviderError(
                    "Description", f"{escape_text(name[:40])} cannot stand in a statement: {error}"
                ) from error
        try:
            require_distinct_fields(self.field_titles)
        except ClientError as error:
            raise ProviderError("Description", f"two fields: {error}") from error
        self.terms()

    @property
    def title(self) -> str:
        """The dataset's title on chain."""
        return _title(self.title_zh, self.title_en) or self.code

    @property
    def field_titles(self) -> tuple[str, ...]:
        """The fields' names on chain, in the order of the field mask."""
        return tuple(field.title for field in self.fields)

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns: key (if there is one), record number, fields."""
        key = (self.key_column,) if self.key_column else ()
        return (*key, self.number_column, *(field.name for field in self.fields))

    def in_encoding(self, encoding: Encoding) -> "Description":
        return msgspec.structs.replace(self, encoding=encoding)

    def terms(self) -> DatasetTerms:
        """Return what is registered on chain.

        Raises:
            ProviderError: a class is unknown, or grade or update cycle are out of range.
        """
        if not 1 <= self.grade <= 4 or not 0 <= self.update_cycle_days < 2**32 // _SECONDS_PER_DAY:
            raise ProviderError(
                "Description", "the grade is 1 to 4, the update cycle 0 to 49,710 days"
            )
        return DatasetTerms(
            code=self.code,
            title=self.title,
            fields=self.field_titles,
            sharing=_class(self.sharing_class),
            open=_class(self.open_class),
            grade=self.grade,
            personal=self.personal,
            update_cycle=self.update_cycle_days * _SECONDS_PER_DAY,
        )


class _Code(msgspec.Struct):
    code: str


class _Document(msgspec.Struct):
    datasets: list[msgspec.Raw]


def read_description(path: Path, code: str | None = None) -> Description:
    """Return a dataset's description.

    Args:
        path: JSON, or YAML when its name ends in .yaml or .yml.
        code: which dataset, when the file describes several.

    Raises:
        ProviderError: the file cannot be read, is none, or does not describe this dataset.
    """
    try:
        return _chosen(_read(path), code)
    except OSError as error:
        raise ProviderError("Description", f"{path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise ProviderError(
            "Description", f"{path} does not describe a dataset: {error}"
        ) from error
    except ProviderError as error:
        raise ProviderError("Description", f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ProviderError("Description", "too long for a description")
    return msgspec.json.encode(msgspec.yaml.decode(data)) if path.suffix in _YAML else data


def _chosen(data: bytes, code: str | None) -> Description:
    try:
        listed = msgspec.json.decode(data, type=_Document).datasets
    except msgspec.ValidationError:
        listed = [msgspec.Raw(data)]
    codes = [msgspec.json.decode(each, type=_Code).code for each in listed]
    if code is None and len(listed) > 1:
        raise ProviderError(
            "Description", f"describes several datasets, name one: {', '.join(codes)}"
        )
    wanted = code or codes[0]
    if wanted not in codes:
        raise ProviderError("Description", f"has no dataset {wanted!r}, only {', '.join(codes)}")
    return msgspec.json.decode(listed[codes.index(wanted)], type=Description)


def _title(zh: str, en: str) -> str:
    return f"{zh} / {en}" if zh and en else zh or en


def _class(text: str) -> Class:
    if text not in CLASSES:
        raise ProviderError("Description", f"a class is one of {', '.join(CLASSES)}")
    return CLASSES[text]

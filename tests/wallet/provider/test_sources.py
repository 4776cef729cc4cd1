"""Files as departments write them, sound and damaged: every defect is found, with its line."""

import io
import json
import tracemalloc
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.city import catalogue
from scripts.city.corrupt import Corruption, Defect, corrupt
from scripts.city.files import read_rows
from scripts.city.manifest import read_manifest
from wallet.provider.description import (
    Description,
    Encoding,
    FieldType,
    FileFormat,
    read_description,
)
from wallet.provider.errors import ProviderError
from wallet.provider.publisher import check_file
from wallet.provider.quality import (
    MAX_LISTED,
    Cells,
    DefectKind,
    QualityLog,
    QualityReport,
    Read,
    RowChecker,
)
from wallet.provider.source import Lines, read_csv, read_source
from wallet.provider.staging import Row, Staging


def report_on(path: Path, description: Description, tmp_path: Path) -> QualityReport:
    with Staging(tmp_path / "spool") as spool:
        return check_file(path, description, spool, lambda *_: None)


def lines_of(text: str | bytes, encoding: Encoding = Encoding.UTF_8) -> list[Read]:
    data = text.encode(encoding) if isinstance(text, str) else text
    return list(read_csv(Lines(io.BytesIO(data), encoding, QualityLog()), ("a", "b", "c")))


def found(text: str | bytes, encoding: Encoding = Encoding.UTF_8) -> list[tuple[int, object]]:
    """What is read, as (line, texts) or (line, kind)."""
    return [
        (line.line, line.texts if isinstance(line, tuple) else line.kind)
        for line in lines_of(text, encoding)
    ]


@pytest.mark.parametrize("dataset", catalogue.DATASETS, ids=lambda dataset: dataset.code)
def test_every_format_gives_the_rows_that_were_written(
    city: Path, tmp_path: Path, dataset: catalogue.Dataset
) -> None:
    described = read_manifest(city).dataset(dataset.code)
    description = read_description(city / "datasets.json", dataset.code)
    path = city / description.file
    written = [(row.key, str(row.number), *row.values) for row in read_rows(path, described)]
    skipped = 0 if description.key_column else 1
    read = [
        one.texts for one in read_source(path, description, QualityLog()) if isinstance(one, tuple)
    ]
    assert read == [row[skipped:] for row in written]
    report = report_on(path, description, tmp_path)
    assert (report.records, report.sound, report.counts, report.remarks) == (
        len(written),
        len(written),
        (),
        (),
    )


KINDS = {
    Defect.BROKEN_LINE: DefectKind.BROKEN_LINE,
    Defect.WRONG_ENCODING: DefectKind.WRONG_ENCODING,
    Defect.DUPLICATE_NUMBER: DefectKind.DUPLICATE_NUMBER,
    Defect.MISSING_KEY: DefectKind.MISSING_KEY,
    Defect.WRONG_CHECK_CHARACTER: DefectKind.WRONG_CHECK_CHARACTER,
    Defect.WRONG_TYPE: DefectKind.WRONG_TYPE,
    Defect.TRUNCATED: DefectKind.TRUNCATED,
}
WHOLE_COLUMN = (
    DefectKind.MISSING_KEY,
    DefectKind.WRONG_CHECK_CHARACTER,
    DefectKind.WRONG_TYPE,
    DefectKind.DUPLICATE_NUMBER,
)


def damaged(city: Path, code: str, defect: Defect, tmp_path: Path, seed: int) -> Corruption:
    dataset = read_manifest(city).dataset(code)
    return corrupt(city / dataset.file, dataset, defect, tmp_path / "damaged.csv", seed)


# A UTF-8 file in GB18030 is wrong in nearly every line: that has a test of its own.
TABLE = [
    (code, defect)
    for code in ("real-estate", "social-insurance", "business-registration")
    for defect in KINDS
    if defect is not Defect.WRONG_ENCODING or code == "social-insurance"
]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("code", "defect"), TABLE)
def test_a_defect_is_reported_with_kind_line_and_column(
    city: Path, tmp_path: Path, defect: Defect, code: str, seed: int
) -> None:
    damage = damaged(city, code, defect, tmp_path, seed)
    description = read_description(city / "datasets.json", code)
    report = report_on(damage.path, description, tmp_path)
    first = report.defects[0]
    assert (first.line, first.kind) == (damage.line, KINDS[defect])
    assert first.column == (damage.column if first.kind in WHOLE_COLUMN else "")
    if defect is Defect.DUPLICATE_NUMBER:
        assert str(damage.first_line) in first.detail
    assert report.defective == len(report.defects) == 1


def test_a_file_in_another_encoding_is_told_to_be_in_it(city: Path, tmp_path: Path) -> None:
    damage = damaged(city, "real-estate", Defect.WRONG_ENCODING, tmp_path, 1)
    description = read_description(city / "datasets.json", "real-estate")
    report = report_on(damage.path, description, tmp_path)
    assert report.defects[0].line == damage.line
    assert {kind for kind, _ in report.counts} == {DefectKind.WRONG_ENCODING}
    assert "gb18030" in report.remarks[0]
    said = msgspec.structs.replace(description, encoding=Encoding.GB18030)
    assert report_on(damage.path, said, tmp_path).defective == 0


def test_another_header_stops_at_once_and_names_the_column(city: Path, tmp_path: Path) -> None:
    damage = damaged(city, "real-estate", Defect.WRONG_HEADER, tmp_path, 1)
    description = read_description(city / "datasets.json", "real-estate")
    with pytest.raises(ProviderError, match=f"line 1.*missing: {damage.column}; unknown: "):
        report_on(damage.path, description, tmp_path)


def test_no_value_gets_into_a_report(city: Path, tmp_path: Path) -> None:
    damage = damaged(city, "real-estate", Defect.WRONG_CHECK_CHARACTER, tmp_path, 1)
    description = read_description(city / "datasets.json", "real-estate")
    key = damage.path.read_text("utf-8").splitlines()[damage.line - 1].split(",")[0]
    assert key[:6].encode() not in report_on(damage.path, description, tmp_path).encode()


# CSV, character by character


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b,c\n1,2,3\n", [(2, ("1", "2", "3"))]),
        ("c,b,a\n1,2,3\n", [(2, ("3", "2", "1"))]),
        ("\ufeffa,b,c\r\n1,2,3\r\n", [(2, ("1", "2", "3"))]),
        ("a,b,c\n1,2,3", [(2, ("1", "2", "3"))]),
        ("a,b,c\n\n1,2,3\n\n", [(3, ("1", "2", "3"))]),
        ('a,b,c\n1,"x\ny",3\n4,5,6\n', [(2, ("1", "x\ny", "3")), (4, ("4", "5", "6"))]),
        ('a,b,c\n1,"say ""hi""",3\n', [(2, ("1", 'say "hi"', "3"))]),
        ("a,b,c\n1,2\n4,5,6\n", [(2, DefectKind.WRONG_COLUMNS), (3, ("4", "5", "6"))]),
        ("a,b,c\n1,2,3,4\n", [(2, DefectKind.WRONG_COLUMNS)]),
        ("a,b,c\n1,2,3\n4,5", [(2, ("1", "2", "3")), (3, DefectKind.TRUNCATED)]),
        (
            'a,b,c\n1,"2,3\n4,5,6\n7,8,9\n',
            [(2, DefectKind.BROKEN_LINE), (3, ("4", "5", "6")), (4, ("7", "8", "9"))],
        ),
        (
            'a,b,c\n1,"x\ny"z,3\n4,5,6\n',
            [(2, DefectKind.BROKEN_LINE), (3, DefectKind.WRONG_COLUMNS), (4, ("4", "5", "6"))],
        ),
        ('a,b,c\n1,"p\nq","2,3\n4,5,6\n', [(3, DefectKind.BROKEN_LINE), (4, ("4", "5", "6"))]),
        ('a,b,c\n1,"2,3\n4,"5",6\n', [(2, DefectKind.BROKEN_LINE), (3, ("4", "5", "6"))]),
        ('a,b,c\n"1","2","3\n4,5,"6"\n', [(2, DefectKind.BROKEN_LINE), (3, ("4", "5", "6"))]),
    ],
)
def test_lines_are_read_and_found_again_after_damage(
    text: str, expected: list[tuple[int, object]]
) -> None:
    assert found(text) == expected


def test_an_open_quotation_in_a_long_file_costs_one_line(tmp_path: Path) -> None:
    rows = "".join(f"{number},ok,ok\n" for number in range(50_000))
    read = lines_of(f'a,b,c\n1,"open,3\n{rows}')
    assert (read[0].line, len(read)) == (2, 50_001)
    assert read[1].line == 3


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    with pytest.raises(ProviderError, match="line 2 has more than"):
        lines_of("a,b,c\n" + "x" * 3_000_000)


def test_a_line_that_cannot_be_decoded_is_not_lost_in_a_quotation() -> None:
    text = b'a,b,c\n1,"x\n\xff\xff\ny",3\n4,5,6\n'
    assert found(text)[0] == (2, DefectKind.BROKEN_LINE)
    assert (3, DefectKind.WRONG_ENCODING) in found(text)
    assert found(text)[-1] == (5, ("4", "5", "6"))


def test_an_empty_file_has_no_header() -> None:
    with pytest.raises(ProviderError, match="empty"):
        lines_of("")


# JSON Lines


def json_description(parking: Description) -> Description:
    return msgspec.structs.replace(parking, format=FileFormat.JSON_LINES, records=None)


PARKING = {
    "lot_number": 1,
    "name": "北站",
    "district": "历下",
    "location": "x",
    "total": 5,
    "free": 2,
}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"lot_number": 1', DefectKind.BROKEN_LINE),
        ("[1, 2]", DefectKind.BROKEN_LINE),
        ("[" * 100_000, DefectKind.BROKEN_LINE),
        (json.dumps(PARKING | {"extra": 1}), DefectKind.WRONG_COLUMNS),
        (json.dumps(PARKING)[:-1] + ', "free": 3}', DefectKind.WRONG_COLUMNS),
        (json.dumps({"lot_number": 1}), DefectKind.WRONG_COLUMNS),
        (json.dumps(PARKING | {"total": True}), DefectKind.WRONG_TYPE),
        (json.dumps(PARKING | {"total": [1]}), DefectKind.WRONG_TYPE),
        (json.dumps(PARKING | {"total": "many"}), DefectKind.WRONG_TYPE),
        (json.dumps(PARKING | {"total": 1.5}), DefectKind.WRONG_TYPE),
        (json.dumps(PARKING | {"total": None}), DefectKind.MISSING_VALUE),
        (json.dumps(PARKING | {"lot_number": -1}), DefectKind.WRONG_NUMBER),
        (json.dumps(PARKING | {"lot_number": 2**63}), DefectKind.WRONG_NUMBER),
        (json.dumps(PARKING | {"lot_number": None}), DefectKind.WRONG_NUMBER),
        (json.dumps(PARKING | {"name": "\ud800"}), DefectKind.NOT_TEXT),
        (json.dumps(PARKING | {"name": "a\u0000b"}), DefectKind.NOT_TEXT),
        (json.dumps(PARKING | {"name": "a\u009b31m"}), DefectKind.NOT_TEXT),
        (json.dumps(PARKING | {"name": "王\u202e明"}), DefectKind.NOT_TEXT),
        (json.dumps(PARKING | {"name": "王\u2067明"}), DefectKind.NOT_TEXT),
        (json.dumps(PARKING | {"total": float("nan")}), DefectKind.BROKEN_LINE),
    ],
)
def test_a_wrong_line_of_json_is_reported(
    parking: Description, tmp_path: Path, line: str, kind: DefectKind
) -> None:
    path = tmp_path / "lots.jsonl"
    path.write_text(f"{json.dumps(PARKING | {'lot_number': 7})}\n{line}\n", "utf-8")
    report = report_on(path, json_description(parking), tmp_path)
    assert [(defect.line, defect.kind) for defect in report.defects] == [(2, kind)]
    assert report.sound == 1


def test_a_cut_off_json_file_is_truncated(parking: Description, tmp_path: Path) -> None:
    path = tmp_path / "lots.jsonl"
    path.write_text(f"{json.dumps(PARKING)}\n{json.dumps(PARKING)[:30]}", "utf-8")
    report = report_on(path, json_description(parking), tmp_path)
    assert [(defect.line, defect.kind) for defect in report.defects] == [(2, DefectKind.TRUNCATED)]


# Parquet


def test_a_damaged_parquet_file_is_refused(city: Path, tmp_path: Path) -> None:
    description = read_description(city / "datasets.json", "housing-fund")
    data = (city / description.file).read_bytes()
    for damage in (data[:-100], data[:10], b"not parquet at all"):
        path = tmp_path / "damaged.parquet"
        path.write_bytes(damage)
        with pytest.raises(ProviderError):
            report_on(path, description, tmp_path)


def test_floating_point_numbers_in_parquet_are_refused(
    parking: Description, tmp_path: Path
) -> None:
    table = pa.table({name: [1.5] for name in parking.columns})
    pq.write_table(table, tmp_path / "lots.parquet")
    described = msgspec.structs.replace(parking, format=FileFormat.PARQUET)
    with pytest.raises(ProviderError, match="no one text form"):
        report_on(tmp_path / "lots.parquet", described, tmp_path)


def test_rows_of_parquet_are_counted_and_checked(parking: Description, tmp_path: Path) -> None:
    columns = {name: [str(row) for row in (1, 2, 2)] for name in parking.columns}
    pq.write_table(pa.table(columns | {"total": [1, None, 3]}), tmp_path / "lots.parquet")
    described = msgspec.structs.replace(parking, format=FileFormat.PARQUET, records=None)
    report = report_on(tmp_path / "lots.parquet", described, tmp_path)
    assert report.unit == "row"
    assert [(defect.line, defect.kind) for defect in report.defects] == [
        (2, DefectKind.MISSING_VALUE)
    ]
    assert report.sound == 2


# Reports


def test_a_report_lists_a_thousand_defects_and_counts_the_rest(
    parking: Description, tmp_path: Path
) -> None:
    path = tmp_path / "lots.csv"
    header = ",".join(parking.columns)
    rows = "".join(f"{number},n,d,l,x,1\n" for number in range(3_000))
    path.write_text(f"{header}\n{rows}", "utf-8")
    tracemalloc.start()
    report = report_on(path, parking, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.counts == ((DefectKind.WRONG_TYPE, 3_000),)
    assert len(report.defects) == MAX_LISTED
    assert peak < 5_000_000
    assert len(report.digest()) == 32


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        *(("a\u3000b", True), ("a\tb\n", True), ("\u200b", True), ("\U0001f600", True)),
        *(("a\x1bb", False), ("\x7f", False), ("\udfff", False)),
    ],
)
def test_control_characters_are_no_text_and_blanks_are(
    parking: Description, text: str, *, sound: bool
) -> None:
    values = [text if field.type is FieldType.TEXT else "1" for field in parking.fields]
    made = RowChecker(parking).check(Cells(1, ("1", *values)))
    kinds = set() if isinstance(made, Row) else {defect.kind for defect in made}
    assert (DefectKind.NOT_TEXT not in kinds) is sound


def test_all_defects_of_a_record_are_named(real_estate: Description, tmp_path: Path) -> None:
    path = tmp_path / "estates.csv"
    texts = ["123", "x", *("" for _ in real_estate.fields)]
    path.write_text(f"{','.join(real_estate.columns)}\n{','.join(texts)}\n", "utf-8")
    report = report_on(path, real_estate, tmp_path)
    assert report.counts == (
        (DefectKind.MALFORMED_KEY, 1),
        (DefectKind.MISSING_VALUE, len(real_estate.fields)),
        (DefectKind.WRONG_NUMBER, 1),
    )
    assert report.defective == 1


def test_of_three_equal_numbers_two_are_duplicates_of_the_first(
    parking: Description, tmp_path: Path
) -> None:
    path = tmp_path / "lots.csv"
    row = "1,n,d,l,1,1\n"
    path.write_text(f"{','.join(parking.columns)}\n{row * 3}2,n,d,l,1,1\n", "utf-8")
    report = report_on(path, parking, tmp_path)
    assert [(defect.line, defect.detail) for defect in report.defects] == [
        (3, "as in line 2"),
        (4, "as in line 2"),
    ]
    assert report.sound == 2

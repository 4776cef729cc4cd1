"""A file with only the changes makes exactly the version that the whole file would make."""

import json
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.crypto.records import encrypt_record
from ledger.errors import ExitCode
from ledger.identifiers import resident_check_character
from tests.support.provider_services import Crash, FakeServices
from wallet.cli import main
from wallet.provider import publisher
from wallet.provider.description import Description, FieldDescription, FileFormat, KeyKind
from wallet.provider.errors import ProviderError
from wallet.provider.publisher import Options, Publication, Publisher
from wallet.provider.quality import QualityError

DATASET = sha256(b"a dataset").digest()
PEOPLE = [
    body + resident_check_character(body)
    for body in ("11010119900307001", "11010119900307002", "11010119900307003")
]
Table = dict[int, tuple[int, str]]
"""Person and value by record number."""


def description(kind: FileFormat = FileFormat.JSON_LINES) -> Description:
    return Description(
        code="things",
        number_column="number",
        fields=(FieldDescription("value"), FieldDescription("number_again")),
        sharing_class="Conditional",
        open_class="NotShared",
        grade=3,
        personal=True,
        key_kind=KeyKind.RESIDENT,
        key_column="id",
        format=kind,
        records=1000,
    )


class Department:
    """A provider with one dataset, and services to publish to."""

    def __init__(self, directory: Path, kind: FileFormat = FileFormat.JSON_LINES) -> None:
        self.directory = directory
        self.description = description(kind)
        self.services = FakeServices(self.description.terms())
        directory.mkdir(exist_ok=True)

    def publish(self, table: Table) -> Publication:
        return self._publisher().publish(self._write(table), Options(processes=1))

    def change(self, table: Table, withdrawn: list[int] | None = None) -> Publication:
        listed = None if withdrawn is None else "".join(f"{number}\n" for number in withdrawn)
        return self.change_as_listed(table, listed)

    def change_as_listed(self, table: Table, listed: str | None) -> Publication:
        path = None if listed is None else self.directory / "gone.txt"
        if path is not None:
            path.write_text(listed or "", "utf-8")
        options = Options(processes=1, changes=True, withdraw=path)
        return self._publisher().publish(self._write(table), options)

    def _publisher(self) -> Publisher:
        workspace = self.directory / "books"
        return Publisher(self.description, DATASET, self.services, workspace)

    def _write(self, table: Table) -> Path:
        path = self.directory / "things"
        rows = [
            {"id": PEOPLE[who], "number": number, "value": value, "number_again": str(number)}
            for number, (who, value) in table.items()
        ]
        if self.description.format is FileFormat.PARQUET:
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path


@pytest.fixture
def department(tmp_path: Path) -> Department:
    made = Department(tmp_path / "department")
    made.publish({1: (0, "a"), 2: (0, "b"), 3: (1, "c")})
    return made


tables = st.dictionaries(
    st.integers(0, 12) | st.just(2**63 - 1),
    st.tuples(st.integers(0, 2), st.sampled_from("ab")),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(tables, tables, st.sets(st.integers(0, 12)))
def test_changes_make_the_version_that_the_whole_file_makes(
    before: Table, after: Table, told_again: set[int]
) -> None:
    changes = {
        number: row
        for number, row in after.items()
        if before.get(number) != row or number in told_again
    }
    gone = [number for number in before if number not in after]
    with TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        # The same record gets the same root everywhere, so that heads can be compared.
        fixed = partial(encrypt_record, randomness=bytes)
        patch.setattr(publisher, "encrypt_record", fixed)
        whole, parts = Department(Path(home) / "whole"), Department(Path(home) / "parts")
        assert whole.publish(before).head == parts.publish(before).head
        if before == after:
            with pytest.raises(ProviderError, match="says the same already"):
                parts.change(changes, gone)
            return
        expected, made = whole.publish(after), parts.change(changes, gone)
        assert (made.head, made.base) == (expected.head, expected.base)
        assert (made.changes, made.sent) == (expected.changes, expected.sent)
        with pytest.raises(ProviderError, match="says the same already"):
            parts.publish(after)


@pytest.mark.parametrize("kind", [FileFormat.JSON_LINES, FileFormat.PARQUET])
def test_what_a_file_does_not_have_stays(tmp_path: Path, kind: FileFormat) -> None:
    department = Department(tmp_path, kind)
    department.publish({1: (0, "a"), 2: (0, "b"), 3: (1, "c")})
    done = department.change({2: (0, "new"), 3: (1, "c")}, [1])
    assert (done.version, done.base, done.sent, done.head.size) == (2, 1, 2, 2)
    assert (done.changes.changed, done.changes.withdrawn, done.changes.unchanged) == (1, 1, 1)
    assert done.report.remarks == ("only changes to version 1; 1 records are withdrawn",)
    served = department.services.served
    kept = next(place for place in served[1] if place[1] == 3)
    assert served[2][kept] == served[1][kept], "what says the same does not travel"
    assert sorted(number for _, number in served[2]) == [2, 3]


def test_a_list_alone_withdraws(department: Department) -> None:
    assert department.change({}, [2]).head.size == 2


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        ("3\n\n9\n", "version 1 has no record as on line 3 of gone.txt"),
        ("3\n1\n3\n", "lines 1 and 3 of gone.txt name the same record"),
        ("3\n2\n", "the record on line 2 of the list is withdrawn, and is in things, line 1"),
        ("3\nthree\n", "line 2 of gone.txt is no record number"),
        (f"{2**63}\n", "line 1 of gone.txt is no record number"),
    ],
    ids=["unknown", "twice", "in both", "no number", "too large"],
)
def test_a_list_that_does_not_fit_is_refused_before_anything_is_sent(
    department: Department, listed: str, problem: str
) -> None:
    with pytest.raises(ProviderError) as refused:
        department.change_as_listed({2: (0, "new")}, listed)
    assert str(refused.value) == problem
    assert (len(department.services.uploads), len(department.services.published)) == (1, 1)


def test_a_missing_list_is_told(department: Department) -> None:
    options = Options(processes=1, changes=True, withdraw=department.directory / "none.txt")
    with pytest.raises(ProviderError, match="No such file"):
        department._publisher().publish(department._write({}), options)


def test_a_number_twice_in_the_changes_is_a_defect(department: Department) -> None:
    path = department._write({2: (0, "new")})
    path.write_text(2 * path.read_text("utf-8"), "utf-8")
    with pytest.raises(QualityError):
        department._publisher().publish(path, Options(processes=1, changes=True))


def test_changes_need_the_version_before_in_the_book(tmp_path: Path) -> None:
    department = Department(tmp_path)
    with pytest.raises(ProviderError, match="the newest version is none"):
        department.change({1: (0, "a")})
    department.publish({1: (0, "a")})
    department.services.published.append(department.services.published[-1])
    with pytest.raises(ProviderError, match="version is 2, this machine's book has 1"):
        department.change({1: (0, "b")})
    assert len(department.services.uploads) == 1


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderError):
        Options(whole=True, changes=True)
    with pytest.raises(ProviderError):
        Options(leave_out_defective=True, changes=True)
    with pytest.raises(ProviderError):
        Options(withdraw=tmp_path)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", ["send", "seal", "publish", "serve"])
def test_interrupted_changes_go_on_where_they_stopped(
    department: Department, call: str, *, after: bool
) -> None:
    services = department.services
    services.calls.clear()
    services.fail = (call, 1, after, Crash)
    with pytest.raises(Crash):
        department.change({2: (0, "new")}, [1])
    services.fail = None
    if call in ("publish", "serve"):
        with pytest.raises(ProviderError, match=r"\(it had been interrupted and was finished"):
            department.change({2: (0, "new")}, [1])
    else:
        assert department.change({2: (0, "new")}, [1]).version == 2
    assert sorted(number for _, number in services.served[2]) == [2, 3]
    assert len(services.published) == 2


def test_the_command_refuses_contradicting_options(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.touch()
    arguments = ["provider", "publish", str(file), "-d", str(file), "--changes", "--whole"]
    assert main(["--home", str(tmp_path), *arguments]) == ExitCode.USAGE

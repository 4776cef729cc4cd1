"""What the documentation tells people to type: it is all there, and run in its order it works as written."""

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest
import typer.main

from ledger.hexstr import from_hex
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city
from tests.support.town import PASSWORD, Party, Town, person_file, running_town
from wallet.cli.run import app

ROLES = Path("docs/roles")
PAGES = sorted(ROLES.glob("*.md"))
OTHERS = [Path("README.md"), *(Path("docs", name) for name in ("cli.md", "operations.md"))]
ASKS = {("wallet", "grant"), ("wallet", "revoke"), ("provider", "erase")}
"""Commands that ask at the terminal; there is none here."""

Place = tuple[str, str]
"""A page and the heading on it."""

STORY: list[tuple[Place, slice]] = [
    (("provider", "Keys"), slice(0, 1)),
    (("consumer", "Keys"), slice(0, 1)),
    (("regulator", ""), slice(None)),
    (("authority", "Admit"), slice(None)),
    (("provider", "Keys"), slice(1, None)),
    (("consumer", "Keys"), slice(1, None)),
    (("provider", "Describe"), slice(None)),
    (("authority", "Purposes"), slice(None)),
    (("consumer", "Apply"), slice(None)),
    (("provider", "Decide"), slice(None)),
    (("provider", "Publish"), slice(0, 1)),
    (("citizen", "Begin"), slice(None)),
    (("consumer", "Ask"), slice(0, 1)),
    (("citizen", "Decide"), slice(None)),
    (("consumer", "Ask"), slice(1, None)),
    (("consumer", "Use"), slice(None)),
    (("citizen", "Look back"), slice(None)),
    (("provider", "Look back"), slice(None)),
    (("provider", "Publish"), slice(1, None)),
    (("authority", "In an emergency"), slice(0, 1)),
    (("regulator", "Review orders"), slice(0, 1)),
    (("authority", "In an emergency"), slice(1, None)),
    (("regulator", "Review orders"), slice(1, None)),
    (("regulator", "Restrict"), slice(0, 1)),
    (("consumer", "Restricted"), slice(None)),
    (("regulator", "Restrict"), slice(1, None)),
    (("citizen", "Stop"), slice(None)),
    (("provider", "Erase"), slice(None)),
    (("regulator", "Replay"), slice(None)),
    (("regulator", "Trace"), slice(None)),
    (("regulator", "Export"), slice(None)),
    (("authority", "Hand over"), slice(None)),
    (("keyholder", "Look back"), slice(None)),
]
ELSEWHERE = {
    ("citizen", "Your phone is lost"),  # test_whole_way.py
    ("keyholder", "Begin"),  # tests/wallet/provider/test_erase_and_rotate.py
    ("keyholder", "The ceremony"),
    ("keyholder", "Serve"),
    ("regulator", "Give uses back"),  # tests/promises/test_voids.py
}


def indented(page: Path) -> dict[str, list[str]]:
    """The commands on lines of their own, by heading."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        if line.startswith("    quancheng "):
            found.setdefault(heading, []).append(line.partition(" # ")[0].strip())
    return found


def inline(page: Path) -> list[str]:
    """The commands amid sentences."""
    found = re.findall(r"`(quancheng [^`]+)`", page.read_text("utf-8"))
    return [" ".join(text.split()) for text in found]


def understood(line: str, *, whole: bool = True) -> str:
    """Parse a command as the command line does; return what it is.

    Args:
        line: with or without values.
        whole: whether everything that is required must be there; a sentence may leave it out.

    Raises:
        UsageError: there is no such command or option, or an argument is missing.
    """
    arguments = shlex.split(re.sub(r"\$[A-Z0-9_]+", "1", line))[1:]
    command: Any = typer.main.get_command(app)
    context, names = None, []
    while hasattr(command, "commands"):
        context = command.make_context(command.name, arguments, parent=context)
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)
        names.append(name)
        if not arguments and hasattr(command, "commands"):
            return " ".join(names)  # a sentence about the group
    if whole:
        command.make_context(command.name, arguments, parent=context)
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word for word in arguments if word.startswith("--")} <= options, line
    return " ".join(names)


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=str)
def test_every_command_in_the_documentation_is_understood(page: Path) -> None:
    lines = [line for some in indented(page).values() for line in some]
    for line in lines:
        assert understood(line), line
    for line in inline(page):
        if len(line.split()) > 2 and not re.search(r"GROUP|-completion|\.\.\.", line):
            understood(line, whole=False)


def test_the_comparison_sees_what_does_not_exist() -> None:
    for line in (
        "quancheng wallet steal",
        "quancheng wallet inbox --all",
        "quancheng wallet grant",
    ):
        with pytest.raises(Exception, match=r"No such|Missing"):
            understood(line)


def test_there_is_a_page_for_each_role_and_each_command_on_it_is_run_somewhere() -> None:
    assert {page.stem for page in PAGES} == {
        *("citizen", "consumer", "provider", "regulator", "authority", "keyholder"),
    }
    told = {(page.stem, heading) for page in PAGES for heading in indented(page)}
    assert told == {place for place, _ in STORY} | ELSEWHERE


@dataclass
class Reader:
    """Somebody who types what the pages say, in one directory, and fills in what came before."""

    town: Town
    known: dict[str, str]

    def party(self, page: str) -> Party:
        if page == "keyholder":
            return Party(self.town.data / "keyholders" / "1", self.town.data)
        names = {"provider": "registry", "consumer": "bank", "citizen": "me"}
        return self.town.party(names.get(page, page))

    def type(self, page: str, line: str) -> Any:
        words = shlex.split(Template(line).substitute(self.known))[1:]
        if tuple(words[:2]) in ASKS:
            words.append("--yes")
        document = self.party(page)(*words)
        if isinstance(document, dict):
            self._remember(page, document)
        return document

    def _remember(self, page: str, document: dict[str, Any]) -> None:
        for key, value in document.items():
            if key == "dataset" and not str(value).startswith("0x"):
                continue  # a quality report names it by its code
            if isinstance(value, str | int):
                name = self.party(page).home.name if key == "address" else key
                self.known.setdefault(name.upper(), str(value))
        if document.get("records") and "access" in document:
            self.known.setdefault("RECORD", str(document["records"][0]["number"]))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(scope="module")
def desk(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the pages speak of."""
    desk = tmp_path_factory.mktemp("desk")
    source = town.city / "housing" / "real-estate.csv"
    shutil.copy(source, desk)
    shutil.copy(town.city / "datasets.json", desk)
    manifest = read_manifest(town.city)
    people = make_city(manifest.seed, manifest.people, manifest.enterprises)
    dataset, amounts = manifest.dataset("real-estate"), Amounts(5, 3, 0)
    make_delta(people, dataset, source=source, target=desk / "changed.csv", seed=2, amounts=amounts)
    first, second = source.read_text("utf-8").splitlines()[:2]
    place = first.split(",").index("resident_id")
    for name in ("me.json", "customer.json"):
        person_file(town, second.split(",")[place], desk / name)
    (desk / "confidentiality.txt").write_text("We keep it to ourselves.")
    purpose = re.search(
        r"```json\n(.*?)```", (ROLES / "authority.md").read_text("utf-8"), re.DOTALL
    )
    assert purpose is not None
    (desk / "loan.json").write_text(purpose[1], "utf-8")
    return desk


@pytest.fixture(scope="module")
def reader(town: Town, desk: Path) -> Reader:
    """The one who has typed all of it."""
    pages = {page.stem: indented(page) for page in PAGES}
    reader = Reader(town, {"SUCCESSOR": "0x" + "5c" * 20})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        for (page, heading), which in STORY:
            if (page, heading) == ("citizen", "Begin"):
                officer, me = town.party("officer"), str(desk / "me.json")
                counter = ("--person", me, "--identification", "id card")
                reader.known["CODE"] = officer("identity", "enrol", *counter)["code"]
            if (page, heading) == (
                "authority",
                "In an emergency",
            ) and "PARKING" not in reader.known:
                parking = ("-d", "datasets.json", "--code", "parking-lots")
                made = reader.party("provider")("provider", "dataset", *parking)
                reader.known["PARKING"] = made["dataset"]
            for line in pages[page][heading][which]:
                reader.type(page, line)
    return reader


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_role_pages_work_as_written(reader: Reader, desk: Path) -> None:
    report = (desk / "report.html").read_text("utf-8")
    assert "Allowed" in report
    assert (desk / "accesses.csv").read_text("utf-8").count("\n") >= 2
    assert reader.known["REQUEST"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_programs_of_the_sdk_page_run_as_written(
    reader: Reader, town: Town, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("docs/sdk.md").read_text("utf-8")
    programs = {
        heading: re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        for heading, section in re.findall(
            r"^##? (.*?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
        )
    }
    monkeypatch.chdir(desk)
    monkeypatch.setenv("QC_PASSWORD", PASSWORD)
    Path("city").symlink_to(town.data)
    for name in ("bank", "registry", "regulator"):
        Path(name).symlink_to(town.homes / name)
    rows = Path("real-estate.csv").read_text("utf-8").splitlines()
    place = rows[0].split(",").index("resident_id")
    first = rows[1].split(",")[place]
    other = next(row.split(",")[place] for row in rows[1:] if row.split(",")[place] != first)
    person = person_file(town, other, desk / "other.json")
    counter = ("--person", str(person), "--identification", "id card")
    known: dict[str, Any] = {
        "dataset": from_hex(reader.known["DATASET"]),
        "purpose": from_hex(reader.known["PURPOSE"]),
        "code": town.party("officer")("identity", "enrol", *counter)["code"],
        "id_number": other,
        "name": json.loads(person.read_text("utf-8"))["name"],
        "new_code": "housing-fund",
    }

    first_record, surroundings = programs.pop("The client SDK")
    exec(surroundings, known)
    (enrol,) = programs.pop("A person enrols")
    exec(enrol, known)
    (grant,) = programs.pop("The person grants")
    with ThreadPoolExecutor() as customer:
        granting = customer.submit(once_asked, grant, known)
        exec(first_record, known)
        granting.result()
    for parts in programs.values():
        exec("\n".join(parts), known)
    assert known["used"].opened.unchecked == ()
    assert known["again"].opened.records == known["used"].opened.records
    assert {"access", "Granted"} <= {entry.kind for entry in known["entries"]}
    assert known["denied"] == "Revoked"
    assert known["report"].accesses
    assert known["life"]
    assert known["schemas"][0].names == known["names"]


def once_asked(program: str, known: dict[str, Any]) -> None:
    """Runs the customer's program when there is something in the inbox."""
    until = time.monotonic() + 60
    while True:
        try:
            exec(program, known)
        except ValueError:  # nothing to unpack yet
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            return

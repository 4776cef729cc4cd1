"""`quancheng audit` against a real chain: replay, trace, export, evidence, verify."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gateway.api.regulator import encode_journal_line
from gateway.store.releases import JournalEntry
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from ledger.model import Roles
from scripts.scenario import Chain, Party
from tests.support.answers import owner_of, owner_proof
from tests.support.evidence import CASE, Case, Counter, case
from tests.wallet.cli.conftest import CommandLine
from wallet.client.receipts import encode_receipt, make_receipt
from wallet.client.transports import Client, Endpoints
from wallet.client.verification import Basis, open_result

Parties = Callable[[Party], CommandLine]


def test_the_chain_replays_and_exports(chain: Chain, party: Parties, tmp_path: Path) -> None:
    terms = chain.personal_terms()
    (authorization,) = chain.granted(1, terms)
    request = chain.request(chain.parties.bank, authorization, fields=0b11)
    chain.record([request])
    chain.record([chain.request(chain.parties.bank, authorization, fields=1)])
    regulator = party(chain.parties.regulator)
    html, trail = tmp_path / "report.html", tmp_path / "trail.jsonl"
    report = regulator.json("audit", "replay", "--html", str(html))
    assert report["clean"]
    assert report["outcomes"]["UsesExhausted"] >= 1
    assert "Audit report" in html.read_text("utf-8")
    regulator.json("audit", "export", str(trail), "--trail-file")
    again = regulator.json("audit", "replay", "--trail", str(trail))
    assert (again["head"], again["accesses"]) == (report["head"], report["accesses"])
    tables = {}
    for ending in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"accesses.{ending}"
        done = regulator.json("audit", "export", str(path), "--trail", str(trail))
        assert done["accesses"] == report["accesses"]
        tables[ending] = path
    # Lines end with line feeds only: a name on chain may hold what `splitlines` takes for an end as well.
    with tables["jsonl"].open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with tables["csv"].open(encoding="utf-8", newline="") as file:
        assert [row["sequence"] for row in csv.DictReader(file)] == [
            str(row["sequence"]) for row in rows
        ]
    assert pq.read_table(tables["parquet"]).num_rows == len(rows)
    mine = [row for row in rows if row["basis"] == to_hex(authorization)]
    assert [row["outcome"] for row in mine] == ["Allowed", "UsesExhausted"]
    assert mine[0]["consumer_name"] == chain.parties.bank.name
    assert mine[0]["fields"] == "field 0; field 1"
    assert mine[0]["kind"] == "authorization"


def test_a_trace_shows_the_whole_life_of_one_thing(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    bank = Party("A bank of which nobody else has heard", Roles.CONSUMER)
    chain.admit(bank)
    terms = chain.personal_terms(bank)
    subject, other = chain.register_subjects(2)
    record = chain.authorization(subject, terms)
    authorization = chain.grant(subject, record)
    chain.record([chain.request(bank, authorization)])
    chain.grant(other, chain.authorization(other, terms))
    chain.send(chain.parties.recorder, chain.revoke_call(subject, authorization))
    chain.record([chain.request(bank, authorization)])
    regulator = party(chain.parties.regulator)
    life = ["Granted", "Accessed", "Revoked", "Accessed"]
    wanted = {
        "--authorization": to_hex(authorization),
        "--case": to_hex(record.case_reference),
        "--subject": to_hex(subject.id),
    }
    for option, value in wanted.items():
        entries = regulator.json("audit", "trace", option, value)["entries"]
        assert [
            entry["event"] for entry in entries if entry["event"] != "SubjectRegistered"
        ] == life
    traced = regulator.json("audit", "trace", "--dataset", to_hex(terms.dataset))["entries"]
    events = [one["event"] for one in traced]
    assert (events.count("Granted"), events.count("Accessed")) == (2, 2)
    by_party = regulator.json("audit", "trace", "--party", to_hex(bank.address))["entries"]
    named = [one for one in by_party if one["event"] == "Accessed"]
    assert [one["who_name"] for one in named] == [bank.name, bank.name]
    assert regulator("audit", "trace").code == ExitCode.BAD_INPUT


def test_a_trace_is_a_table_for_people(
    chain: Chain, party: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    terms = chain.personal_terms()
    subject = chain.register_subject()
    record = chain.authorization(subject, terms)
    authorization = chain.grant(subject, record)
    chain.record([chain.request(chain.parties.bank, authorization) for _ in range(2)])
    shown = party(chain.parties.regulator)(
        "audit", "trace", "--case", to_hex(record.case_reference)
    ).out
    assert "3 entries" in shown
    acts = ("Granted", "Accessed", "Allowed", "UsesExhausted")
    places = [shown.index(act) for act in acts]
    assert places == sorted(places)
    assert chain.parties.bank.name in shown


def test_a_tampered_trail_ends_with_exit_code_four(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    terms = chain.personal_terms()
    (authorization,) = chain.granted(1, terms)
    chain.record([chain.request(chain.parties.bank, authorization)])
    regulator, trail = party(chain.parties.regulator), tmp_path / "trail.jsonl"
    regulator.json("audit", "export", str(trail), "--trail-file")
    log = to_hex(chain.contracts.access_log)
    lines = trail.read_text().splitlines()
    place = max(at for at, line in enumerate(lines[1:-1], 1) if log in line) - 1
    kept = [*lines[:place], *lines[place + 1 : -1]]
    cut = "\n".join([*kept, lines[-1]]) + "\n"
    trail.write_text(cut)
    assert regulator("audit", "replay", "--trail", str(trail)).code == ExitCode.NOT_VERIFIED
    trail.write_text(cut.replace(f'"logs":{len(kept)}', f'"logs":{len(kept) - 1}'))
    done = regulator("audit", "replay", "--trail", str(trail), "--json")
    assert done.code == ExitCode.NOT_VERIFIED
    assert not done.document["clean"]
    assert done.error["kind"] == "Differences"


# Evidence


@pytest.fixture(scope="module")
def used(chain: Chain) -> Case:
    return case(Counter(chain))


@pytest.fixture
def regulator(chain: Chain, party: Parties) -> CommandLine:
    return party(chain.parties.regulator)


@pytest.fixture
def trail(regulator: CommandLine, used: Case, tmp_path: Path) -> Path:
    """What the verifier trusts: a trail, exported after the access."""
    assert used.recorded.sequence
    path = tmp_path / "trail.jsonl"
    regulator.json("audit", "export", str(path), "--trail-file")
    return path


@pytest.fixture
def receipt(used: Case, tmp_path: Path) -> Path:
    """The consumer's receipt of the access."""
    desk, owner = used.desk, owner_of(used.subject)
    version = desk.versions[-1]
    proof = owner_proof(version, owner)
    result = desk.answer(used.submission, used.recorded, version.of(owner), proof)
    basis = Basis(used.authorization, used.documents.link)
    endpoints = Endpoints("http://127.0.0.1:9", node=desk.chain.node.url)
    with Client(endpoints, chain_id=used.deployment.chain_id) as client:
        opened = client.run(
            open_result(
                desk.ledger, desk.opening_of(used.submission), used.submission, result, basis
            )
        )
    assert result.release is not None
    made = make_receipt(
        desk.ledger, used.submission, result.release, opened, desk.schema.names, basis
    )
    path = tmp_path / "receipt.json"
    path.write_bytes(encode_receipt(made))
    return path


def journal_of(used: Case, path: Path) -> Path:
    """A gateway's journal with a line of the access."""
    entry = JournalEntry(used.submission, used.recorded, None)
    path.write_bytes(encode_journal_line(entry))
    return path


def test_evidence_of_a_receipt_verifies_offline_with_a_trail(
    regulator: CommandLine, used: Case, receipt: Path, trail: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.json"
    made = regulator.json("audit", "evidence", str(file), "--receipt", str(receipt), "--values")
    offline = ("--node", "http://127.0.0.1:9")
    found = regulator.json(*offline, "audit", "verify", str(file), "--trail", str(trail))
    assert found == made
    assert found["unchecked"] == []
    assert (found["outcome"], found["case_number"]) == ("Allowed", CASE)
    assert found["sequence"] == used.recorded.sequence
    assert found["records"][0]["values"]["field 2"] == "value 0.2"
    assert file.stat().st_mode & 0o077 == 0
    done = regulator(*offline, "audit", "verify", str(file), "--trail", str(trail))
    assert "OPEN" not in done.out
    assert "value 0.2" in done.out
    assert "the word of whoever made the file" in done.err
    assert "the word of" not in regulator("audit", "verify", str(file), "--against-node").err


def test_no_value_is_in_evidence_unless_its_holder_shows_it(
    regulator: CommandLine, receipt: Path, trail: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.json"
    regulator.json("audit", "evidence", str(file), "--receipt", str(receipt))
    assert b"value 0" not in file.read_bytes()
    found = regulator.json("audit", "verify", str(file), "--trail", str(trail))
    assert [one["check"] for one in found["unchecked"]] == ["values"]
    option = ("--receipt", str(receipt), "--field", "field 11")
    regulator.json("audit", "evidence", str(file), *option)
    found = regulator.json("audit", "verify", str(file), "--trail", str(trail))
    assert [one["values"] for one in found["records"]] == [
        {"field 11": "value 0.11"},
        {"field 11": "value 2.11"},
    ]
    assert b"value 0.2" not in file.read_bytes()
    wrong = ("--receipt", str(receipt), "--field", "field 3")
    assert regulator("audit", "evidence", str(file), *wrong).code == ExitCode.BAD_INPUT


@pytest.mark.parametrize("by_number", [True, False])
def test_evidence_of_a_journal_proves_the_access_without_the_release(
    regulator: CommandLine, used: Case, trail: Path, tmp_path: Path, *, by_number: bool
) -> None:
    journal, file = journal_of(used, tmp_path / "journal.ndjson"), tmp_path / "evidence.json"
    name = str(used.recorded.sequence) if by_number else to_hex(used.recorded.access)
    source = ("--journal", str(journal))
    regulator.json("audit", "evidence", str(file), "--access", name, *source)
    found = regulator.json("audit", "verify", str(file), "--trail", str(trail))
    opened = {one["check"] for one in found["unchecked"]}
    assert opened == {"statement", "link", "publication", "records", "values"}
    missing = regulator("audit", "evidence", str(file), "--access", "999999", *source)
    assert missing.code == ExitCode.NOT_FOUND


def test_evidence_needs_an_anchor_that_the_verifier_trusts(
    regulator: CommandLine, receipt: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.json"
    made = regulator.json("audit", "evidence", str(file), "--receipt", str(receipt))
    done = regulator("audit", "verify", str(file), "--json")
    assert done.code == ExitCode.NOT_VERIFIED
    assert (done.error["check"], done.error["number"]) == ("anchor", 3)
    one = ("--anchor", made["block_hash"])
    assert regulator("audit", "verify", str(file), *one).code == ExitCode.NOT_VERIFIED
    assert regulator.json("audit", "verify", str(file), "--against-node") == made


def test_tampered_evidence_ends_with_exit_code_four_and_the_check(
    regulator: CommandLine, receipt: Path, trail: Path, tmp_path: Path
) -> None:
    file = tmp_path / "evidence.json"
    regulator.json("audit", "evidence", str(file), "--receipt", str(receipt), "--values")
    file.write_bytes(file.read_bytes().replace(b'"value 0.2"', b'"value 9.2"'))
    done = regulator("audit", "verify", str(file), "--trail", str(trail), "--json")
    assert done.code == ExitCode.NOT_VERIFIED
    assert done.error["check"] == "values"
    file.write_bytes(file.read_bytes()[:-100])
    done = regulator("audit", "verify", str(file), "--trail", str(trail), "--json")
    assert (done.code, done.error["check"]) == (ExitCode.NOT_VERIFIED, "form")


@pytest.mark.parametrize("sort", [False, True])
def test_evidence_is_recognized_however_it_is_laid_out(
    regulator: CommandLine, receipt: Path, trail: Path, tmp_path: Path, *, sort: bool
) -> None:
    file = tmp_path / "evidence.json"
    made = regulator.json("audit", "evidence", str(file), "--receipt", str(receipt), "--values")
    laid_out = json.dumps(json.loads(file.read_bytes()), indent=2, sort_keys=sort)
    file.write_text("\n" + laid_out, encoding="utf-8")
    assert regulator.json("audit", "verify", str(file), "--trail", str(trail)) == made


@pytest.mark.parametrize(
    "text",
    ["", "{}\n", '{"a": 1,\n"format": "other"}', '{"format":"other"}', "[" * 100_000, "\udcff"],
)
def test_a_file_that_is_neither_evidence_nor_a_trail_is_said_to_be_neither(
    regulator: CommandLine, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "something"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = regulator("audit", "verify", str(file), "--json")
    assert done.code == ExitCode.BAD_INPUT
    assert "neither evidence nor a trail" in done.error["message"]


def test_evidence_of_nothing_in_particular_is_refused(
    regulator: CommandLine, receipt: Path, tmp_path: Path
) -> None:
    file = str(tmp_path / "evidence.json")
    assert regulator("audit", "evidence", file).code == ExitCode.BAD_INPUT
    journal = ("--journal", str(tmp_path / "none"))
    both = ("--receipt", str(receipt), *journal)
    assert regulator("audit", "evidence", file, *both).code == ExitCode.BAD_INPUT
    assert regulator("audit", "evidence", file, *journal).code == ExitCode.BAD_INPUT
    shown = ("--access", "1", "--values", *journal)
    assert regulator("audit", "evidence", file, *shown).code == ExitCode.BAD_INPUT


# The end


def test_a_known_end_is_printed_and_checked(chain: Chain, party: Parties, tmp_path: Path) -> None:
    regulator, trail = party(chain.parties.regulator), tmp_path / "trail.jsonl"
    known = regulator.json("audit", "head")
    assert regulator("audit", "head").out.strip() == known["end"]
    assert known["end"] == f"{known['number']}:{known['head']}"
    shown = regulator("audit", "replay").out
    assert "NOT CHECKED: whether this is the end" in shown
    assert regulator.json("audit", "replay", "--end", known["end"])["end_check"] == "as named"
    regulator.json("audit", "export", str(trail), "--trail-file")
    for command in (("replay", "--trail"), ("verify",)):
        report = regulator.json("audit", *command, str(trail), "--end", known["end"])
        assert (report["clean"], report["end_check"]) == (True, "as named")
    chain.record([chain.request(chain.parties.bank, b"\x01" * 32)])
    later = regulator.json("audit", "replay", "--end", known["end"])
    assert later["end_check"].startswith(f"passes number {known['number']} as named; NOT CHECKED")
    cut = regulator("audit", "verify", str(trail), "--end", later["end"])
    assert cut.code == ExitCode.NOT_VERIFIED
    for wrong in ("", "1", "1:", ":0x", "-1:0x" + "00" * 32, "1:0x00", "１:0x" + "00" * 32):
        done = regulator("audit", "replay", "--end", wrong)
        assert done.code == ExitCode.BAD_INPUT, wrong


def test_each_keyholders_journal_is_handed_over_once_and_by_its_name(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    regulator, file = party(chain.parties.regulator), tmp_path / "releases.ndjson"
    file.touch()
    member = to_hex(chain.parties.bank.address)
    for journals, problem in (
        ([str(file)], "ADDRESS=FILE"),
        ([f"{member}={file}", f"{member}={file}"], "two journals"),
        ([f"0x12={file}"], "journal's owner"),
    ):
        options = [part for journal in journals for part in ("--keyholder-journal", journal)]
        refused = regulator("audit", "void", *options)
        assert refused.code == ExitCode.BAD_INPUT
        assert problem in refused.err
    assert regulator("audit", "void", "--keyholder-journal", f"{member}={file}").code == 0

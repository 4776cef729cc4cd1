"""Commands against a real chain: the parties' acts, and what the regulator sees of them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ledger.chain import contract_reads
from ledger.chain.deployment import read_deployment, write_deployment
from ledger.chain.events.identifiers import agreement_id
from ledger.chain.rpc import Call, Rpc
from ledger.errors import ExitCode
from ledger.hexstr import from_hex, keccak256, to_hex
from ledger.model import Roles
from scripts.scenario import Chain, Party
from tests.support.fees import fund, newest_offer
from tests.wallet.cli.conftest import CommandLine

Parties = Callable[[Party], CommandLine]

PURPOSE = {
    "code": "loan",
    "texts": {
        "zh": "{consumer}{dataset}{fields}{uses}{case}{until}{retention}。",
        "en": "{consumer} {dataset} {fields} {uses} {case} {until} {retention}.",
    },
    "max_validity": 864_000,
    "max_uses": 10,
    "retention": 86_400,
}


@pytest.fixture
def purpose_file(tmp_path: Path) -> Path:
    path = tmp_path / "purpose.json"
    path.write_text(json.dumps(PURPOSE | {"code": f"loan-{time.time_ns()}"}), "utf-8")
    return path


@pytest.fixture
def description(tmp_path: Path) -> Path:
    path = tmp_path / "dataset.json"
    fields = [{"name": name, "title_en": name.title()} for name in ("street", "area", "value")]
    number = time.time_ns()
    dataset = {
        "code": f"estates-{number}",
        "title_zh": f"不动产{number}",
        "title_en": f"Estates {number}",
        "key_kind": "resident",
        "key_column": "id",
        "number_column": "number",
        "fields": fields,
        "sharing_class": "Conditional",
        "open_class": "NotShared",
        "grade": 3,
        "personal": True,
    }
    path.write_text(json.dumps(dataset, ensure_ascii=False), "utf-8")
    return path


def test_the_authority_admits_and_withdraws(chain: Chain, party: Parties) -> None:
    authority = party(chain.parties.authority)
    newcomer = keccak256(b"newcomer")[:20]
    text = to_hex(newcomer)
    authority.json("authority", "admit", text, "consumer,provider", "某新来者 / Some newcomer")
    standing = chain.rpc.send(contract_reads.standing_of(chain.contracts, newcomer))
    assert standing.roles == Roles.CONSUMER | Roles.PROVIDER
    authority.json("authority", "withdraw", text)
    assert not chain.rpc.send(contract_reads.standing_of(chain.contracts, newcomer)).active


def test_what_cannot_stand_in_a_statement_is_not_sent(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    authority = party(chain.parties.authority)
    done = authority("authority", "admit", to_hex(b"\x09" * 20), "consumer", "two\nlines")
    assert done.code == ExitCode.BAD_INPUT
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(PURPOSE | {"texts": {"zh": "{nothing}", "en": "x"}}))
    assert authority("authority", "purpose", str(path)).code == ExitCode.BAD_INPUT
    path.write_text("not json")
    assert authority("authority", "purpose", str(path)).code == ExitCode.BAD_INPUT


def test_who_is_not_the_authority_is_refused_by_the_contract(chain: Chain, party: Parties) -> None:
    done = party(chain.parties.bank)(
        "authority", "admit", to_hex(b"\x09" * 20), "consumer", "X", "--json"
    )
    assert done.code == ExitCode.REFUSED
    assert done.error["contract_error"]


def test_a_consumer_applies_and_is_approved(
    chain: Chain, party: Parties, purpose_file: Path, description: Path, tmp_path: Path
) -> None:
    authority, provider = party(chain.parties.authority), party(chain.parties.provider)
    bank = party(chain.parties.bank)
    purpose = authority.json("authority", "purpose", str(purpose_file))["purpose"]
    dataset = provider.json("provider", "dataset", "-d", str(description))["dataset"]
    authority.json("authority", "bind", purpose, dataset, "all")
    terms = tmp_path / "terms.txt"
    terms.write_text("We keep it to ourselves.")
    applied = bank.json(
        *("consumer", "apply", dataset, purpose, "--fields", "Street,Area"),
        *("--justification", "loans", "--confidentiality", str(terms)),
    )
    provider.json(
        *("provider", "approve", applied["application"], "--dataset", dataset),
        *("--fields", "0", "--until", "+30d"),
    )
    found = chain.rpc.send(
        contract_reads.application_of(chain.contracts, from_hex(applied["application"]))
    )
    assert found.decided
    assert found.signed
    assert found.fields == 0b011
    again = provider("provider", "decline", applied["application"], "--reason", "late", "--json")
    assert again.code == ExitCode.REFUSED
    assert again.error["contract_error"] == "ApplicationDecided"
    unknown = bank(
        "consumer", "apply", dataset, purpose, "--fields", "Salary", "--justification", "x"
    )
    assert unknown.code == ExitCode.NOT_FOUND


def test_without_a_choice_all_fields_are_approved_that_were_applied_for(
    chain: Chain, party: Parties, purpose_file: Path, description: Path
) -> None:
    authority, provider = party(chain.parties.authority), party(chain.parties.provider)
    bank = party(chain.parties.bank)
    purpose = authority.json("authority", "purpose", str(purpose_file))["purpose"]
    dataset = provider.json("provider", "dataset", "-d", str(description))["dataset"]
    authority.json("authority", "bind", purpose, dataset, "all")
    wanted = ("--fields", "1", "--justification", "loans")
    applied = bank.json("consumer", "apply", dataset, purpose, *wanted)["application"]
    provider.json("provider", "approve", applied, "--dataset", dataset)
    agreement = agreement_id(chain.parties.bank.address, from_hex(dataset), from_hex(purpose))
    approved = chain.rpc.send(contract_reads.agreement_of(chain.contracts, agreement))
    assert (approved.application, approved.fields) == (from_hex(applied), 0b010)
    unknown = provider("provider", "approve", "0x" + "ab" * 32, "--dataset", dataset)
    assert unknown.code == ExitCode.NOT_FOUND


def test_a_regulator_restricts_and_lifts_and_the_consumer_appeals(
    chain: Chain, party: Parties
) -> None:
    regulator, insurer = party(chain.parties.regulator), party(chain.parties.insurer)
    address = to_hex(chain.parties.insurer.address)
    done = regulator.json("authority", "restrict", address, "--until", "+1h", "--reason", "odd")
    standing = chain.rpc.send(
        contract_reads.standing_of(chain.contracts, chain.parties.insurer.address)
    )
    assert standing.restricted_until == done["until"]
    insurer.json("consumer", "appeal", "we did nothing odd")
    regulator.json("authority", "lift", address, "--reason", "explained")
    standing = chain.rpc.send(
        contract_reads.standing_of(chain.contracts, chain.parties.insurer.address)
    )
    assert standing.restricted_until <= chain.now()


def test_an_emergency_order_is_issued_ended_and_reviewed(
    chain: Chain, party: Parties, purpose_file: Path, description: Path
) -> None:
    authority, regulator = party(chain.parties.authority), party(chain.parties.regulator)
    provider = party(chain.parties.provider)
    purpose = authority.json("authority", "purpose", str(purpose_file))["purpose"]
    dataset = provider.json("provider", "dataset", "-d", str(description))["dataset"]
    order = authority.json(
        *("authority", "order", dataset, "--purpose", purpose, "--reason", "flood"),
        *("--sharing", "Conditional", "--ends", "+1d", "--fields", "Street"),
    )["order"]
    regulator.json("authority", "countersign", order)
    assert chain.rpc.send(contract_reads.order_of(chain.contracts, from_hex(order))).fields == 1
    early = regulator("authority", "review", order, "--findings", "fine")
    assert early.code == ExitCode.REFUSED
    authority.json("authority", "order", order, "--end", "--reason", "over")
    chain.wait_for_block()
    regulator.json("authority", "review", order, "--findings", "fine")
    assert chain.rpc.send(contract_reads.order_of(chain.contracts, from_hex(order))).reviewed


def test_a_key_is_registered(chain: Chain, party: Parties) -> None:
    done = party(chain.parties.bank).json("consumer", "key", "--register")
    found = chain.rpc.send(
        contract_reads.encryption_key_of(chain.contracts, chain.parties.bank.address)
    )
    assert to_hex(found) == done["encryption_key"]


def test_what_parties_transactions_offer_is_a_setting(
    chain: Chain, party: Parties, purpose_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = chain.parties
    fund(chain, who.authority.address, who.regulator.address, who.bank.address)
    monkeypatch.setenv("QUANCHENG_FEE", "8:3")
    party(who.authority).json("authority", "purpose", str(purpose_file))
    assert newest_offer(chain, who.authority.address) == (8, 3)
    machine = to_hex(keccak256(b"machine")[:20])
    party(who.regulator).json("authority", "supervisor", machine)
    assert newest_offer(chain, who.regulator.address) == (8, 3)
    party(who.bank).json("consumer", "key", "--register")
    assert newest_offer(chain, who.bank.address) == (8, 3)
    party(who.bank).json("--fee", "node", "consumer", "key", "--register")
    suggested = chain.sender(chain.parties.bank).current_fee()
    assert newest_offer(chain, who.bank.address) == (suggested.most, suggested.priority)
    for wrong in ("-1", "1:2", "much"):
        done = party(who.bank)("--fee", wrong, "consumer", "key", "--register")
        assert done.code == ExitCode.BAD_INPUT


def test_a_node_of_another_chain_is_refused(chain: Chain, party: Parties, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    changed = chain.deployment.genesis_hash[::-1]
    write_deployment(msgspec.structs.replace(chain.deployment, genesis_hash=changed), other)
    regulator = party(chain.parties.regulator)
    done = regulator("--deployment", str(other), "audit", "replay")
    assert done.code == ExitCode.NOT_VERIFIED
    assert "began with" in done.err


def test_a_node_that_is_not_there_is_told(chain: Chain, party: Parties) -> None:
    done = party(chain.parties.bank)("--node", "http://127.0.0.1:9", "consumer", "appeal", "x")
    assert done.code == ExitCode.TRY_AGAIN


# The chain's own commands, in real processes


def test_a_chain_is_started_deployed_to_and_looked_at(
    quancheng: CommandLine, tmp_path: Path
) -> None:
    quancheng.json("authority", "key")
    process = subprocess.Popen(
        [sys.executable, "-m", "wallet.cli", "--json", "chain", "start", str(tmp_path / "chain")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        node = json.loads("".join(lines))["node"]
        file = tmp_path / "deployment.json"
        bare = quancheng("--node", node, "chain", "deploy", str(file))
        assert bare.code == ExitCode.BAD_INPUT, "what is no trial begins with two regulators"
        done = quancheng.json("--node", node, "chain", "deploy", str(file), "--trial")
        assert read_deployment(file).authority == from_hex(done["authority"])
        status = quancheng.json("--node", node, "--deployment", str(file), "chain", "status")
        assert (status["accesses"], status["chain_id"]) == (0, done["chain_id"])
        time.sleep(3)
        idle = quancheng.json("--node", node, "--deployment", str(file), "chain", "status")
        assert idle["block"] > status["block"]
        assert abs(idle["age"]) < 3, "an idle chain makes a block a second"
        tight = tmp_path / "tight.json"
        quancheng.json(
            *("--node", node, "chain", "deploy", str(tight), "--trial", "--head-age", "3")
        )
        time.sleep(4)
        asking = ("--node", node, "--deployment", str(tight))
        assert "keyholders release nothing" not in quancheng(*asking, "chain", "status").err
        deep = quancheng(*asking, "--finality", "depth:8", "chain", "status")
        assert "keyholders release nothing" in deep.err, "what is final is older than that"
        strict = read_deployment(file)
        with Rpc(node) as rpc:
            rpc.send(Call("evm_increaseTime", (hex(strict.head_age + 5),), lambda _: None))
        time.sleep(2)
        warned = quancheng("--node", node, "--deployment", str(file), "chain", "status")
        assert "keyholders release nothing" in warned.err
        assert quancheng("--node", node, "chain", "deploy", str(file)).code == ExitCode.BAD_INPUT
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()
    with Rpc(node) as rpc, pytest.raises(Exception, match="cannot be reached"):
        rpc.send(contract_reads.authority(read_deployment(file).contracts))


def test_a_basis_that_is_not_known_here_is_named_with_what_to_say(
    chain: Chain, party: Parties
) -> None:
    basis = to_hex(b"\x31" * 32)
    done = party(chain.parties.bank)("consumer", "access", basis, "--fields", "all")
    assert (done.code, basis in done.err, "--dataset" in done.err) == (7, True, True), done.err

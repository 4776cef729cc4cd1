"""What the authority announces, by command, in a deployment that is no trial: shown, vetoed, due."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ledger.chain import contract_reads
from ledger.chain.deploy import MIN_DELAY
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.rpc import Call
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from ledger.model import Change, Roles
from scripts.scenario import Chain, Party
from tests.support import more_views
from tests.wallet.cli.conftest import CommandLine
from wallet.cli.output import moment_text

pytestmark = pytest.mark.slow

AUTHORITY = Party("The bureau", Roles(0))
NEXT = Party("The next bureau", Roles(0))
FIRST, SECOND = Party("Inspection", Roles.REGULATOR), Party("Audit office", Roles.REGULATOR)
IDENTITY = Party("Identity authority", Roles.IDENTITY_AUTHORITY)
BANK = Party("A bank", Roles.CONSUMER)


@dataclass
class Serious:
    """A deployment that is no trial, and a command line for each party."""

    chain: Chain
    deployment: Deployment
    as_party: Callable[[Party], CommandLine]

    def standing(self, party: Party) -> contract_reads.Standing:
        at = self.deployment.contracts
        return self.chain.rpc.send(contract_reads.standing_of(at, party.address))

    def pass_time(self, seconds: int) -> None:
        self.chain.rpc.send(Call("evm_increaseTime", (hex(seconds),), lambda _: None))
        self.chain.wait_for_block()
        self.chain.wait_for_block()


@pytest.fixture
def serious(own_chain: Chain, tmp_path: Path, quancheng: CommandLine) -> Serious:
    file = tmp_path / "serious.json"

    def make(who: Party) -> CommandLine:
        return quancheng.of(who, own_chain.node.url, file)

    founders = [
        f"--founder={to_hex(party.address)}:regulator:{party.name}" for party in (FIRST, SECOND)
    ]
    done = make(AUTHORITY).json("chain", "deploy", str(file), *founders)
    assert done["trial"] is False
    return Serious(own_chain, read_deployment(file), make)


def test_an_identity_authority_is_announced_and_admitted_once_it_is_due(serious: Serious) -> None:
    authority, address = serious.as_party(AUTHORITY), to_hex(IDENTITY.address)
    admit = ("authority", "admit", address, "identity-authority", IDENTITY.name)
    done = authority.json(*admit)
    due = done["effective_at"]
    assert 0 < due - serious.chain.now() <= MIN_DELAY
    assert done["lapses_at"] == due + MIN_DELAY
    for other in (admit, (*admit[:3], "consumer", IDENTITY.name)):
        again = authority(*other, "--json")
        assert (again.code, again.error["contract_error"]) == (ExitCode.REFUSED, "AlreadyAnnounced")
    assert not serious.standing(IDENTITY).active
    early = authority("authority", "activate", address, "--json")
    assert (early.code, early.error["contract_error"]) == (ExitCode.REFUSED, "NotEffectiveYet")
    serious.pass_time(MIN_DELAY + 10)
    authority.json("authority", "activate", address)
    assert serious.standing(IDENTITY).active


def test_a_regulator_stops_what_was_announced(serious: Serious) -> None:
    authority, regulator = serious.as_party(AUTHORITY), serious.as_party(SECOND)
    identity, successor = to_hex(IDENTITY.address), to_hex(NEXT.address)
    authority.json("authority", "admit", identity, "identity-authority", IDENTITY.name)
    authority.json("authority", "announce", "authority", successor)
    # Withdrawn first, it keeps its veto.
    authority.json("authority", "withdraw", to_hex(SECOND.address))
    regulator.json("authority", "veto", "admission", identity, "--reason", "its own cousin")
    regulator.json("authority", "veto", "authority", successor, "--reason", "nobody knows it")
    serious.pass_time(MIN_DELAY + 10)
    for done in (
        authority("authority", "activate", identity, "--json"),
        serious.as_party(NEXT)("authority", "change", "authority", successor, "--json"),
    ):
        assert (done.code, done.error["contract_error"]) == (ExitCode.REFUSED, "NotAnnounced")


def test_the_authority_is_handed_over_by_announcement(serious: Serious) -> None:
    authority, following = serious.as_party(AUTHORITY), serious.as_party(NEXT)
    successor = to_hex(NEXT.address)
    said = authority("authority", "announce", "authority", successor).out
    due = serious.chain.rpc.send(
        contract_reads.change_due_at(serious.deployment.contracts, Change.AUTHORITY, NEXT.address)
    )
    assert f"from {moment_text(due)} until {moment_text(due + MIN_DELAY)}" in said
    assert f"quancheng authority change authority {successor}" in said
    assert authority("authority", "retract", "authority", successor).code == ExitCode.USAGE
    serious.pass_time(MIN_DELAY + 10)
    following.json("authority", "change", "authority", successor)
    at = serious.deployment.contracts
    assert serious.chain.rpc.send(contract_reads.authority(at)) == NEXT.address
    two = authority("authority", "announce", "authority", successor, successor)
    assert two.code == ExitCode.BAD_INPUT


def test_what_is_not_taken_lapses(serious: Serious) -> None:
    authority, address = serious.as_party(AUTHORITY), to_hex(IDENTITY.address)
    admit = ("authority", "admit", address, "identity-authority", IDENTITY.name)
    authority.json(*admit)
    serious.pass_time(2 * MIN_DELAY)
    late = authority("authority", "activate", address, "--json")
    assert (late.code, late.error["contract_error"]) == (ExitCode.REFUSED, "Lapsed")
    said = authority(*admit).out
    assert "announced" in said
    assert f"unless vetoed: quancheng authority activate {address}" in said


def test_the_authority_retracts_what_it_announced(serious: Serious) -> None:
    authority, address = serious.as_party(AUTHORITY), to_hex(IDENTITY.address)
    verifier = to_hex(serious.deployment.contracts.catalogue)
    authority.json("authority", "admit", address, "identity-authority", IDENTITY.name)
    authority.json("authority", "announce", "verifier", verifier)
    authority.json("authority", "retract", "admission", address)
    authority.json("authority", "retract", "verifier", verifier)
    serious.pass_time(MIN_DELAY + 10)
    for command in (("activate", address), ("change", "verifier", verifier)):
        done = authority("authority", *command, "--json")
        assert (done.code, done.error["contract_error"]) == (ExitCode.REFUSED, "NotAnnounced")
    # Nothing of it stands against another admission, which is at once.
    done = authority.json("authority", "admit", address, "provider", IDENTITY.name)
    assert done["effective_at"] == 0


def test_a_consumer_names_and_dismisses_a_recorder(serious: Serious) -> None:
    authority, bank = serious.as_party(AUTHORITY), serious.as_party(BANK)
    at, recorder = serious.deployment.contracts, NEXT.address
    done = authority.json("authority", "admit", to_hex(BANK.address), "consumer", BANK.name)
    assert done["effective_at"] == 0
    bank.json("consumer", "recorder", "name", to_hex(recorder))
    assert serious.chain.rpc.send(contract_reads.may_record(at, BANK.address, recorder))
    bank.json("consumer", "recorder", "dismiss", to_hex(recorder))
    assert not serious.chain.rpc.send(contract_reads.may_record(at, BANK.address, recorder))


def test_a_regulator_appoints_a_supervisor_and_takes_it_back(serious: Serious) -> None:
    regulator, at = serious.as_party(FIRST), serious.deployment.contracts
    regulator.json("authority", "supervisor", to_hex(NEXT.address))
    found = more_views.supervisor_of(at, NEXT.address)
    assert serious.chain.rpc.send(found) == FIRST.address
    regulator.json("authority", "supervisor", to_hex(NEXT.address), "--dismiss")
    assert serious.chain.rpc.send(found) == bytes(20)
    unknown = ("review-suspension", "0x" + "ab" * 32, "--findings", "nothing", "--json")
    refused = regulator("authority", *unknown)
    assert refused.error["contract_error"] == "AgreementUnknown"


def test_a_tool_says_whether_it_is_a_trial(serious: Serious) -> None:
    status = serious.as_party(FIRST)
    assert status.json("chain", "status")["trial"] is False
    assert (
        "trial       no: what is announced takes effect after 72 h" in status("chain", "status").out
    )

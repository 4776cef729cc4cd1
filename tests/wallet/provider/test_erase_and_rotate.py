"""Erasing a record and rotating the keyholders' seeds, by command, while all services run."""

import csv
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from ledger.api import SignedLink
from ledger.chain import contract_calls
from ledger.chain.contract_calls import Approval
from ledger.chain.deployment import write_deployment
from ledger.chain.sender import Sender
from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import from_hex, to_hex
from ledger.links import make_link
from ledger.model import Roles
from ledger.typed_data import struct_hash
from scripts.city.delta import Amounts
from scripts.scenario import Chain, Terms
from tests.support.city import PASSWORD, City, GatewayProcess, gateway_process
from tests.support.departments import Department, owner_of
from tests.support.errors import of_kind
from tests.wallet.provider.conftest import DepartmentAt
from wallet.cli import main
from wallet.client.errors import Check, ErrorKind, ProblemError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.relays import relay_authorization, relayed
from wallet.client.requests import RequestBook
from wallet.client.retry import RetryPolicy
from wallet.client.transports import Client, Endpoints
from wallet.client.verification import Basis, Opened
from wallet.consumer import access
from wallet.keyholder.seeds import Holdings
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.provider.publisher import Options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCRYPT_N = 4096
FIELDS = 0b111


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)


def command(town: City, home: Path, *arguments: str, gateway: str = "") -> int:
    """Run `quancheng` as the owner of a directory; return its exit code."""
    deployment = town.home / "deployment.json"
    write_deployment(town.chain.deployment, deployment)
    return main(
        [
            *("--json", "--home", str(home), "--password", "env:TEST_PASSWORD"),
            *("--scrypt-n", str(SCRYPT_N), "--deployment", str(deployment)),
            *("--node", town.chain.node.url, "--gateway", gateway),
            *arguments,
        ]
    )


@dataclass
class Owner:
    """Somebody whose records a department has, and what they granted to the bank."""

    key: str
    owner: bytes
    basis: Basis
    authorization: bytes


@dataclass
class Bank:
    """Asks for records, opens and checks them."""

    chain: Chain
    client: Client
    opening: DecryptionKey
    book: RequestBook
    ledger: ChainAccess = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = ChainAccess(self.chain.deployment, own_node=True)

    def access(self, owner: Owner, *, item: bytes = bytes(32), patience: float = 20) -> Opened:
        (request,) = access.prepare(
            *(self.ledger, self.client.key, self.opening.encryption_key, self.book),
            *(owner.authorization, FIELDS),
            item=item,
        )
        opened = self.client.run(
            access.access(
                *(self.ledger, self.opening, self.book, request, owner.basis), RetryPolicy(patience)
            )
        ).opened
        assert opened.unchecked == ()
        return opened


@pytest.fixture
def bank(town: City, gateway: GatewayProcess, tmp_path: Path) -> Iterator[Bank]:
    chain = town.chain
    key = PartyKey(chain.parties.bank.private_key)
    endpoints = Endpoints(gateway.url, node=chain.node.url)
    with (
        Client(endpoints, key=key, chain_id=chain.deployment.chain_id) as client,
        RequestBook(tmp_path / "requests.sqlite") as book,
    ):
        yield Bank(chain, client, town.bank_key, book)


def terms_of(department: Department) -> Terms:
    """An agreement of the bank for the department's dataset."""
    chain, description = department.town.chain, department.description
    chain.titles[department.dataset] = description.title, description.field_titles
    purpose = chain.register_purpose()
    agreement = chain.agree(chain.parties.bank, department.dataset, purpose)
    return Terms(department.dataset, purpose, agreement, chain.parties.bank)


def grant(department: Department, terms: Terms, key: str) -> Owner:
    """Let the person with a resident id grant ten uses of all its records."""
    chain, owner = department.town.chain, owner_of(department.dataset, key)
    subject = chain.register_subject()
    record = chain.authorization(subject, terms, fields=FIELDS, max_uses=10)
    link = make_link(subject.id, department.dataset, owner, at=chain.now(), links_from=0)
    authority = chain.parties.identity_authority
    signed = SignedLink(link, chain.sign(link, authority.private_key))
    approval = chain.approval(record, subject)
    call = relay_authorization(record, Approval(approval.signer, approval.signature), signed, None)
    department.client.run(relayed(call))
    return Owner(key, owner, Basis(record, signed), struct_hash(record))


def rows_of(file: Path) -> dict[str, list[int]]:
    """Numbers of the records in a file, by the people they are about."""
    found: dict[str, list[int]] = {}
    with file.open(encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            found.setdefault(row["resident_id"], []).append(int(row["registration_number"]))
    return found


def bodies(gateway: Path) -> list[bytes | None]:
    """Salts and ciphertexts of all records in a gateway's database."""
    with sqlite3.connect(gateway / "gateway.db") as database:
        return [body for (body,) in database.execute("SELECT body FROM records ORDER BY id")]


def salt_of(body: bytes) -> bytes:
    salt: bytes = msgspec.msgpack.decode(body)[1]  # `gateway.publishing.ingest.pack_body`
    return salt


def numbers_of(opened: Opened) -> set[int]:
    return {record.entry.number for record in opened.records}


def bytes_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_an_erased_record_is_gone_from_every_version_and_accesses_leave_it_out(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess, bank: Bank, tmp_path: Path
) -> None:
    home, gateway_home = tmp_path / "department", town.home / "gateway-process"
    department = department_at(gateway.url)
    department.workspace = home / "books"
    Keystore(home / "keystore", scrypt_n=SCRYPT_N).store(
        *("account", Kind.ETHEREUM_KEY, town.chain.parties.provider.private_key),
        Password(PASSWORD),
    )
    department.publisher().publish(department.file)
    again = Options(whole=True, even_if_unchanged=True)
    assert department.publisher().publish(department.file, again).version == 2
    key, numbers = next(one for one in rows_of(department.file).items() if len(one[1]) >= 2)
    person = grant(department, terms_of(department), key)
    before = bank.access(person)
    assert numbers_of(before) == set(numbers)
    gone, *rest = sorted(numbers)
    item = next(record.entry.root for record in before.records if record.entry.number == gone)
    stored = bodies(gateway_home)

    erase = ("provider", "erase", to_hex(department.dataset), str(gone), "--yes")
    assert command(town, home, *erase, gateway=gateway.url) == 0

    left = bodies(gateway_home)
    destroyed = [was for was, now in zip(stored, left, strict=True) if was and not now]
    assert len(destroyed) == 2  # one in each version
    files = bytes_of(gateway_home)
    assert all(salt_of(body) in files for body in left if body)
    assert not any(salt_of(body) in files for body in destroyed)  # nor in the write-ahead log
    after = bank.access(person)
    assert numbers_of(after) == set(rest)
    assert {Check.ERASURE, Check.COMPLETENESS} <= set(after.checked)
    with pytest.raises(ProblemError, check=of_kind(ErrorKind.ERASED)):
        bank.access(person, item=item)

    # Erasing again changes nothing, and in the next version the record stays erased.
    assert command(town, home, *erase, gateway=gateway.url) == 0
    changed = department.changed_file(tmp_path / "after.csv", Amounts(4, 2, 0))
    assert department.publisher().publish(changed).base == 2
    assert numbers_of(bank.access(person)) == set(rest)


class Ceremony:
    """Keyholders' operators, each at its own keyholder."""

    def __init__(self, town: City, packets: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._town, self._packets, self._capture = town, packets, capture

    def run(self, number: int, *arguments: str) -> list[str]:
        """Run a command at a keyholder, counted from 0; return what it prints."""
        self._capture.readouterr()
        home = self._town.keyholders.home_of(number)
        assert command(self._town, home, "keyholder", *arguments) == 0
        lines: list[str] = json.loads(self._capture.readouterr().out)["lines"]
        return lines

    def rotate(self, epoch: int, members: list[bytes]) -> None:
        """Draw, hand over and take the seeds of an epoch."""
        out = self._packets / str(epoch)
        roster = ",".join(map(to_hex, members))
        drawing = ("rotate", "--epoch", str(epoch), "--members", roster, "--out", str(out))
        for number in range(3):
            self.run(number, *drawing)
        taking = [text for path in sorted(out.glob("*.json")) for text in ("--take", str(path))]
        for number in (1, 2):  # the first one draws all its seeds itself
            self.run(number, "rotate", *taking)

    def compare(self, epoch: int) -> None:
        """Compare fingerprints: each seed is with two keyholders, the same with both."""
        reports: list[str] = []
        for number in range(3):
            lines = self.run(number, "check")
            reports += lines[lines.index(f"epoch {epoch}: keyholder {number + 1}, 2 of 3") + 1 :]
        assert sorted(Counter(reports).values()) == [2, 2, 2]

    def restart(self, *numbers: int) -> None:
        """Restart keyholders: each knows the epochs that it started with."""
        for number in numbers:
            self._town.keyholders.kill(number)
        self._town.keyholders.start()


Announce = Callable[[int, list[bytes]], None]
"""Gives everybody the deployment file with one more roster."""


@pytest.fixture
def announce(
    town: City, gateway: GatewayProcess, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Announce]:
    running = [gateway]
    with ExitStack() as stack:

        def give(epoch: int, members: list[bytes]) -> None:
            changed = town.chain.deployment.with_roster(Roster(epoch, 2, tuple(members)))
            monkeypatch.setattr(town.chain, "deployment", changed)
            bank.ledger = ChainAccess(changed, own_node=True)
            running[-1].stop()
            port = gateway.url.rpartition(":")[2]
            home = town.home / "gateway-process"
            again = gateway_process(town, home, settings={"port": port})
            running.append(stack.enter_context(again))

        yield give


def register_encryption_key(chain: Chain, holder: Holdings) -> None:
    call = contract_calls.set_encryption_key(holder.opening.encryption_key.to_bytes())
    to = chain.deployment.address_of(call.contract)
    Sender(chain.rpc, holder.account).send(to, call.data)


def epochs_in(gateway: Path) -> Counter[int]:
    """Of what epochs the records in a gateway's database are."""
    return Counter(msgspec.msgpack.decode(body)[0] for body in bodies(gateway) if body)


def of_whom_all_is_new(before: Path, after: Path) -> str:
    """Return somebody all of whose records in a file are not as they were in the one before."""
    files = []
    for path in (before, after):
        with path.open(encoding="utf-8", newline="") as source:
            files.append({row["registration_number"]: row for row in csv.DictReader(source)})
    was, now = files
    same = {row["resident_id"] for number, row in now.items() if was.get(number) == row}
    return next(row["resident_id"] for row in now.values() if row["resident_id"] not in same)


def test_seeds_are_rotated_and_a_lost_keyholder_is_replaced(
    department_at: DepartmentAt,
    town: City,
    gateway: GatewayProcess,
    bank: Bank,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    announce: Announce,
) -> None:
    operators, holders = Ceremony(town, tmp_path / "packets", capsys), town.keyholders
    gateway_home = town.home / "gateway-process"
    department = department_at(gateway.url)
    services = department.services()
    terms = terms_of(department)
    published = department.publisher().publish(department.file)
    first = department.changed_file(tmp_path / "first.csv", Amounts(40, 10, 2))
    second = department.changed_file(tmp_path / "second.csv", Amounts(40, 10, 2), first)
    of_first, of_second = (
        of_whom_all_is_new(department.file, first),
        of_whom_all_is_new(first, second),
    )
    unchanged = next(
        key
        for key, numbers in rows_of(second).items()
        if numbers == rows_of(department.file).get(key) and key not in (of_first, of_second)
    )
    old = grant(department, terms, unchanged)
    assert numbers_of(bank.access(old))
    counted = epochs_in(gateway_home)[1]

    # Rotation: amid it nothing stops, afterwards what is new is under the new epoch
    members = [holder.address for holder in town.holders]
    for holder in town.holders:
        register_encryption_key(town.chain, holder)
    operators.rotate(2, members)
    announce(2, members)
    operators.restart(0)
    assert services.keys(department.dataset).epoch == 1
    operators.restart(1, 2)
    department.ledger = bank.ledger  # with the changed deployment file
    assert department.services().keys(department.dataset).epoch == 2
    assert department.publisher().publish(first).sent == 52
    assert epochs_in(gateway_home) == {1: counted, 2: 50}
    newer = grant(department, terms, of_first)
    assert numbers_of(bank.access(newer))
    assert numbers_of(bank.access(old))

    # One is lost for good, and another one takes its place
    holders.kill(2)
    shutil.rmtree(holders.home_of(2))
    holders.home_of(2).mkdir()
    address = from_hex(operators.run(2, "init")[0].split()[-1])
    admission = contract_calls.admit(address, Roles.KEYHOLDER, f"Keyholder {to_hex(address)}")
    town.chain.send(town.chain.parties.authority, admission)
    operators.run(2, "register")
    operators.rotate(3, [*members[:2], address])
    operators.compare(3)
    holders.replace(2, address)
    announce(3, [*members[:2], address])
    department.ledger = bank.ledger
    operators.restart(0, 1)
    assert numbers_of(bank.access(old))
    assert numbers_of(bank.access(newer))
    assert department.publisher().publish(second).sent == 52
    assert epochs_in(gateway_home) == {1: counted, 2: 50, 3: 50}
    newest = grant(department, terms, of_second)
    holders.kill(0)
    assert numbers_of(bank.access(newest))  # the second keyholder and the new one
    with pytest.raises(
        ProblemError, check=of_kind(ErrorKind.UNAVAILABLE)
    ):  # the new one never held what is older
        bank.access(old, patience=1)
    holders.start()
    assert numbers_of(bank.access(old))
    assert published.version == 1

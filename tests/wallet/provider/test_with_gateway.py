"""Publishing to a real gateway with real keyholders, in processes of their own."""

import csv
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from ledger import views
from ledger.custody import provider_keys
from ledger.encoding import Schema
from ledger.merkle import TreeHead
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city as make_people
from tests.support.chain import Chain
from tests.support.city import City, GatewayProcess, gateway_process, make_city
from tests.support.keyholders import register_key
from wallet.client.errors import ForbiddenError, RefusedError
from wallet.client.party import PartyKey
from wallet.client.transactions import Ledger
from wallet.client.transports import Client, Endpoints
from wallet.provider import publisher as publisher_module
from wallet.provider.agreements import register_dataset
from wallet.provider.book import Book
from wallet.provider.description import KeyKind, read_description
from wallet.provider.errors import SubkeysError
from wallet.provider.publisher import Publisher, Stage
from wallet.provider.services import RemoteServices

pytestmark = pytest.mark.slow


class WithoutIdentityAuthority(RemoteServices):
    """Everything real but the owners."""

    def owners(self, dataset: bytes, kind: KeyKind, keys: Sequence[str]) -> list[bytes]:
        return [sha256(dataset + key.encode()).digest() for key in keys]


@pytest.fixture(scope="module")
def town(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with make_city(chain, tmp_path_factory.mktemp("town")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(town: City) -> Iterator[GatewayProcess]:
    with gateway_process(town, town.home / "gateway-process") as running:
        yield running


class Department:
    """A provider with its files, at a gateway."""

    def __init__(self, town: City, files: Path, workspace: Path, url: str, *, node: bool) -> None:
        chain = town.chain
        party = chain.parties.provider
        endpoints = Endpoints(url, node=chain.node.url if node else "")
        self.key = PartyKey(party.private_key)
        self.client = Client(endpoints, key=self.key, chain_id=chain.deployment.chain_id)
        self.ledger = Ledger(chain.deployment, own_node=node)
        self.opening = register_key(chain, party)
        self.files, self.workspace, self.town = files, workspace, town
        described = read_description(files / "datasets.json", "real-estate")
        self.description = msgspec.structs.replace(described, code=f"estates-{workspace}-{node}")
        self.file = files / described.file
        terms = self.description.terms()
        self.dataset = self.client.run(register_dataset(self.ledger, self.key, terms)).dataset
        self.stages: list[Stage] = []

    def publisher(self) -> Publisher:
        services = WithoutIdentityAuthority(
            self.client, self.ledger, self.opening, self.town.keyholders.urls
        )
        return Publisher(
            self.description,
            self.dataset,
            services,
            self.workspace,
            lambda stage, _done, _of: self.stages.append(stage),
        )

    def close(self) -> None:
        self.client.close()

    def on_chain(self, version: int) -> TreeHead:
        chain = self.town.chain
        found = chain.rpc.send(views.publication_of(chain.contracts, self.dataset, version))
        return TreeHead(found.count, found.root)


class DepartmentAt(Protocol):
    """Makes a department at a gateway; closed with the test."""

    def __call__(self, url: str, *, node: bool = True) -> Department: ...


@pytest.fixture
def department_at(town: City, city: Path, tmp_path: Path) -> Iterator[DepartmentAt]:
    with ExitStack() as stack:

        def make(url: str, *, node: bool = True) -> Department:
            made = Department(town, city, tmp_path / "work", url, node=node)
            stack.callback(made.close)
            return made

        yield make


@pytest.mark.parametrize("node", [True, False], ids=["own node", "by the gateway"])
def test_a_file_and_its_next_version_are_published(
    department_at: DepartmentAt, city: Path, gateway: GatewayProcess, tmp_path: Path, *, node: bool
) -> None:
    department = department_at(gateway.url, node=node)
    first = department.publisher().publish(department.file)
    assert first.head == department.on_chain(1)
    manifest = read_manifest(city)
    people = make_people(manifest.seed, manifest.people, manifest.enterprises)
    after = tmp_path / "after.csv"
    make_delta(
        people,
        manifest.dataset("real-estate"),
        source=department.file,
        target=after,
        seed=1,
        amounts=Amounts(9, 4, 2),
    )
    second = department.publisher().publish(after)
    assert (second.base, second.sent) == (1, 15)
    assert second.head == department.on_chain(2)
    with after.open(encoding="utf-8", newline="") as file:
        numbers = {int(row["registration_number"]) for row in csv.DictReader(file)}
    assert second.head.size == len(numbers)
    with Book(tmp_path / "work" / f"{department.dataset.hex()}.book", department.dataset) as book:
        assert book.version == 2
        assert all(book.item(number) for number in numbers)


def test_a_gateway_that_is_killed_amid_an_upload_gets_the_rest(
    department_at: DepartmentAt, town: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_RECORDS_IN_A_BATCH", 5)
    monkeypatch.setattr(publisher_module, "_MOST_LINES", 20)
    home = tmp_path / "gateway"
    restarted = threading.Event()

    with gateway_process(town, home) as first:
        port = first.url.rpartition(":")[2]
        department = department_at(first.url)

        def kill_once(stage: Stage, done: int, _of: int | None) -> None:
            if stage is Stage.UPLOADING and done >= 60 and not restarted.is_set():
                first.kill()
                restarted.set()

        publisher = Publisher(
            department.description,
            department.dataset,
            WithoutIdentityAuthority(
                department.client, department.ledger, department.opening, town.keyholders.urls
            ),
            tmp_path / "work",
            kill_once,
        )
        published: list[TreeHead] = []
        thread = threading.Thread(
            target=lambda: published.append(publisher.publish(department.file).head)
        )
        thread.start()
        assert restarted.wait(60)
        with gateway_process(town, home, ready=False, settings={"port": port}):
            thread.join(90)
    assert published == [department.on_chain(1)]


def test_only_its_provider_publishes_a_dataset(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    stranger = PartyKey(town.chain.parties.other_provider.private_key)
    chain_id = town.chain.deployment.chain_id
    with Client(department.client.endpoints, key=stranger, chain_id=chain_id) as client:
        services = WithoutIdentityAuthority(
            client, department.ledger, department.opening, town.keyholders.urls
        )
        head = TreeHead(0, bytes(31) + b"\1")
        with pytest.raises(RefusedError, match="NotProvider"):
            services.publish(department.dataset, head, 0, bytes(32), None, lambda _: None)
        with pytest.raises(ForbiddenError):
            services.begin(department.dataset, 0)
        with pytest.raises(SubkeysError):
            services.keys(department.dataset)


def test_what_keyholders_hand_out_encrypts_as_they_release(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    services = WithoutIdentityAuthority(
        department.client, department.ledger, department.opening, town.keyholders.urls
    )
    keys = services.keys(department.dataset)
    schema = Schema(department.dataset, department.description.field_titles)
    assert len(keys.subkeys) == 3
    found = provider_keys(keys, schema, 1, bytes(32), (0, 1))
    assert found == provider_keys(services.keys(department.dataset), schema, 1, bytes(32), (0, 1))

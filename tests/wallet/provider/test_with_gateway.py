"""Publishing to a real gateway with real keyholders, in processes of their own."""

import csv
import threading
from pathlib import Path

import msgspec
import pytest

from ledger.crypto.merkle import TreeHead
from ledger.crypto.secret_sharing import Roster
from ledger.encoding import Schema
from ledger.typed_data import AccessRequest
from scripts.city.delta import Amounts
from tests.support.city import City, GatewayProcess, gateway_process
from tests.support.errors import of_kind
from tests.support.lying_keyholder import Liar, standing_before
from tests.support.provider import provider_keys
from tests.wallet.provider.conftest import DepartmentAt
from wallet.client.errors import ErrorKind, ProblemError, RefusedError
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transports import Client
from wallet.provider import publisher as publisher_module
from wallet.provider.errors import ProviderError
from wallet.provider.published_state import PublishedState
from wallet.provider.publisher import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("node", [True, False], ids=["own node", "by the gateway"])
def test_a_file_and_its_next_version_are_published(
    department_at: DepartmentAt, gateway: GatewayProcess, tmp_path: Path, *, node: bool
) -> None:
    department = department_at(gateway.url, node=node)
    first = department.publisher().publish(department.file)
    assert first.head == department.on_chain(1)
    after = department.changed_file(tmp_path / "after.csv", Amounts(9, 4, 2))
    second = department.publisher().publish(after)
    assert (second.base, second.sent) == (1, 15)
    assert second.head == department.on_chain(2)
    with after.open(encoding="utf-8", newline="") as file:
        numbers = {int(row["registration_number"]) for row in csv.DictReader(file)}
    assert second.head.size == len(numbers)
    path = department.workspace / f"{department.dataset.hex()}.book"
    with PublishedState(path, department.dataset) as book:
        assert book.version == 2
        assert all(book.item(number) for number in numbers)


def test_a_gateway_that_is_killed_amid_an_upload_gets_the_rest(
    department_at: DepartmentAt, town: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "_RECORDS_IN_A_BATCH", 5)
    monkeypatch.setattr(publisher_module, "_MAX_LINES", 20)
    home = tmp_path / "gateway"
    restarted = threading.Event()

    with gateway_process(town, home) as first:
        port = first.url.rpartition(":")[2]
        department = department_at(first.url)

        def kill_once(stage: Stage, done: int, _of: int | None) -> None:
            if stage is Stage.UPLOADING and done >= 60 and not restarted.is_set():
                first.kill()
                restarted.set()

        publisher = department.publisher(kill_once)
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
        services = department.services(client)
        head = TreeHead(0, bytes(31) + b"\1")
        with pytest.raises(RefusedError, match="NotProvider"):
            services.publish(department.dataset, head, 0, bytes(32), None, lambda _: None)
        with pytest.raises(ProblemError, check=of_kind(ErrorKind.FORBIDDEN)):
            services.begin(department.dataset, 0)
        with pytest.raises(ProviderError):
            services.keys(department.dataset)


def test_what_keyholders_hand_out_encrypts_as_they_release(
    department_at: DepartmentAt, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    services = department.services()
    keys = services.keys(department.dataset)
    schema = Schema(department.dataset, department.description.field_titles)
    assert len(keys.subkeys) == 3
    found = provider_keys(keys, schema, 1, bytes(32), (0, 1))
    assert found == provider_keys(services.keys(department.dataset), schema, 1, bytes(32), (0, 1))


def test_a_keyholder_at_two_urls_counts_once(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    services = department.services()
    first, second, _ = town.keyholders.urls
    services._keyholders = (first, first)
    with pytest.raises(ProviderError, match="1 keyholders of epoch 1 gave their subkeys, 2 are"):
        services.keys(department.dataset)
    services._keyholders = (first, first, second)
    assert len(services.keys(department.dataset).subkeys) == 3


def test_what_a_keyholder_says_of_epoch_and_members_changes_nothing(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    keys = department.services().keys(department.dataset)
    domain = town.chain.deployment.domain_of(AccessRequest)
    liar = Liar(town.holders[0], town.keyholders.urls[0], town.schema, domain)
    liar.provider = (department.key.address, department.opening.encryption_key)
    with standing_before(liar):
        services = department.services()
        services._keyholders = (liar.url, *town.keyholders.urls[1:])
        lies: list[dict[str, object]] = [
            {"epoch": 7},
            {"threshold": 1, "members": []},
            {"holder": 2},
            {"holder": 9},
        ]
        for lie in lies:
            liar.subkeys = lie
            assert services.keys(department.dataset) == keys
        services._keyholders = (liar.url, town.keyholders.urls[1])
        refused: list[dict[str, object]] = [
            {"holder": 2},
            {"signature": "0x" + "00" * 65},
            {"sealed": "AAAA"},
        ]
        for lie in refused:
            liar.subkeys = lie
            with pytest.raises(ProviderError):
                services.keys(department.dataset)


def test_a_roster_that_is_not_in_the_file_encrypts_nothing(
    department_at: DepartmentAt, town: City, gateway: GatewayProcess
) -> None:
    department = department_at(gateway.url)
    services = department.services()
    members = town.chain.deployment.rosters[0].members
    for rosters in ((), (Roster(1, 2, members[::-1]),), (Roster(2, 2, members),)):
        deployment = msgspec.structs.replace(town.chain.deployment, rosters=rosters)
        services._ledger = ChainAccess(deployment, own_node=False)
        with pytest.raises(ProviderError):
            services.keys(department.dataset)

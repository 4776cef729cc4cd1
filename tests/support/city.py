"""A small real city for promise tests: a node, keyholder processes, a published dataset, people, a bank.

Only the gateway is left to the test, which starts it on `City.gateway_settings` or from its parts.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.consent.relays import Grant
from gateway.publishing.ingest import UploadRules
from gateway.services import Services, open_services
from gateway.settings import AccessSettings, Settings
from ledger.api import AccessResult, KeyedSubmission
from ledger.chain.contract_calls import Approval
from ledger.chain.deployment import write_deployment
from ledger.crypto.hpke import Purpose
from ledger.crypto.records import open_fields, verify_opened_fields
from ledger.crypto.secret_sharing import Release, combine_parts, unpack
from ledger.hexstr import to_hex
from ledger.typed_data import AccessRequest, Authorization, digest, struct_hash
from scripts.answer_keys import DrawnKeys
from scripts.processes import (
    SCRYPT_N,
    free_port,
    gateway_environment,
    keyholder_environment,
    store_keyholder,
    store_recorder,
)
from scripts.scenario import FIELDS, SHARING, Chain, Person, PersonalData, make_keyholders
from tests.support.forking import Forked, start
from tests.support.keyholders import register_key
from tests.support.recording import until
from tests.support.uploads import head_of, in_pieces, ndjson
from wallet.keyholder.seeds import Holdings

PASSWORD = "test"


class City(PersonalData):
    """Everything but the gateway. The keyholders may not run yet."""

    def __init__(self, chain: Chain, home: Path) -> None:
        register_key(chain, chain.parties.provider)
        self.bank_key = register_key(chain, chain.parties.bank)
        super().__init__(chain, make_keyholders(3, 2))
        self.home = home
        self.keyholders = KeyholderProcesses(chain, home / "keyholders", self.holders)
        domain = chain.deployment.domain_of(AccessRequest)
        self.answer_keys = DrawnKeys(domain, self.terms.consumer.address)

    def authorization(
        self, person: Person, *, fields: int = 0b111, max_uses: int = 1, item: bytes = bytes(32)
    ) -> Authorization:
        return self.chain.authorization(
            person.subject, self.terms, fields=fields, max_uses=max_uses, item=item
        )

    def grant_of(self, person: Person, authorization: Authorization) -> Grant:
        """A signed authorization with its link, as a wallet relays it."""
        approval = self.chain.approval(authorization, person.subject)
        return Grant(
            authorization, Approval(approval.signer, approval.signature), person.link, None
        )

    def submission(
        self, basis: bytes, *, fields: int = 0b101, item: bytes = bytes(32), lifetime: int = 600
    ) -> KeyedSubmission:
        return self.answer_keys.submission(
            *(self.terms.consumer.private_key, basis),
            fields=fields,
            item=item,
            deadline=int(time.time()) + lifetime,
        )

    def open(self, result: AccessResult) -> list[list[str]]:
        """What the bank reads: values by record, each checked against its leaf."""
        assert result.request is not None
        opening = self.answer_keys.opening(result.request.nonce)
        assert result.release is not None
        context = digest(result.request, self.chain.deployment.domain_of(AccessRequest))
        parts = [
            unpack(opening.open(held.sealed, Purpose.RELEASE, context), Release)
            for held in result.release.keys
        ]
        values = []
        for place, record in enumerate(result.release.records):
            keys = combine_parts(SHARING, [part.records[place] for part in parts])
            opened = open_fields(self.schema, record, keys)
            verify_opened_fields(self.schema, record, opened)
            values.append([one.value for one in opened])
        return values


class KeyholderProcesses:
    def __init__(self, chain: Chain, home: Path, holders: Sequence[Holdings]) -> None:
        self._chain = chain
        self._home = home
        self._ports = [free_port() for _ in holders]
        self._addresses = [to_hex(holder.address) for holder in holders]
        self._running: dict[int, Forked] = {}
        for number, holder in enumerate(holders):
            store_keyholder(self.home_of(number) / "keystore", holder, PASSWORD)

    def home_of(self, number: int) -> Path:
        """Where a keyholder keeps its keystore and journal; counted from 0."""
        return self._home / f"keyholder-{number + 1}"

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    def replace(self, number: int, address: bytes) -> None:
        """Note that another keyholder answers where one was; counted from 0."""
        self._addresses[number] = to_hex(address)

    @property
    def by_address(self) -> dict[str, str]:
        return dict(zip(self._addresses, self.urls, strict=True))

    def start(self) -> None:
        """Start those that are not running, and wait until all are ready."""
        for number, port in enumerate(self._ports):
            if number not in self._running:
                self._running[number] = self._start(number, port)
        _wait_until_ready(self.urls)

    def stop(self, count: int) -> None:
        for number in sorted(self._running)[:count]:
            self.kill(number)

    def kill(self, number: int) -> None:
        """Kill one; counted from 0."""
        process = self._running.pop(number)
        process.kill()
        process.wait(10)

    def _start(self, number: int, port: int) -> Forked:
        own = self.home_of(number)
        settings = {
            "poll_interval": "0.05",
            "password": "env:TEST_PASSWORD",
            "scrypt_n": str(SCRYPT_N),
        }
        environment = keyholder_environment(self._chain, own, port, **settings)
        environment = {**os.environ, **environment, "TEST_PASSWORD": PASSWORD}
        return start(("wallet.keyholder", "serve"), environment, out=own / "log")


@contextmanager
def make_city(chain: Chain, home: Path) -> Iterator[City]:
    city = City(chain, home)
    try:
        city.keyholders.start()
        yield city
    finally:
        city.keyholders.stop(len(city.holders))


@asynccontextmanager
async def recording_parts(
    city: City, database_url: str, **settings: object
) -> AsyncIterator[Services]:
    """As `gateway_parts`, without supervision, once its recorder records."""
    async with gateway_parts(city, database_url, supervision=False, **settings) as parts:
        await until(lambda: parts.recorder is not None and parts.recorder.status.is_ready, 30)
        yield parts


@asynccontextmanager
async def gateway_parts(
    city: City, database_url: str, **settings: object
) -> AsyncIterator[Services]:
    os.environ["TEST_PASSWORD"] = PASSWORD
    defaults: dict[str, object] = {
        "recorder_key": _key_file(city),
        "recorder_password": "env:TEST_PASSWORD",
        "journal": city.home / "journal",
        "keyholders": city.keyholders.by_address,
    }
    deployment = city.home / "parts.json"
    write_deployment(city.chain.deployment, deployment)
    node, access = (
        Settings(database_url=database_url, deployment=deployment, node_url=city.chain.node.url),
        AccessSettings(**{**defaults, **settings}),  # type: ignore[arg-type]
    )
    async with open_services(node, access) as services:
        await services.index.wait_for(await asyncio.to_thread(city.chain.block_number))
        yield services


async def publish(city: City, services: Services) -> int:
    """Publish all records made so far, on chain and at the gateway; return the version."""
    index, publishing = services.index, services.publishing
    city.sort_records()
    dataset = city.terms.dataset
    upload = await publishing.open(dataset, city.chain.parties.provider.address, 0)
    rules = UploadRules(len(FIELDS), personal=True, is_delta=False, epochs=frozenset({1}))
    body = in_pieces(ndjson(city.records), 1 << 20)
    await publishing.receive(upload, rules, 0, body)
    sealed = await publishing.seal(await publishing.get(upload.id))
    head = head_of(city.records)
    block = await asyncio.to_thread(city.chain.publish, dataset, head.root, head.size)
    async with asyncio.timeout(60):
        await index.wait_for(block)
    version = index.snapshot.datasets[dataset].version
    await publishing.publish(sealed, version, head, index.head.number)
    await asyncio.to_thread(city.chain.wait_for_block)
    return version


async def granted(city: City, services: Services, person: Person, **terms: object) -> bytes:
    """Let a person grant through the gateway; return the authorization's id."""
    authorization = await asyncio.to_thread(city.authorization, person, **terms)  # type: ignore[arg-type]
    await services.relays.authorize(city.grant_of(person, authorization))
    return struct_hash(authorization)


def _wait_until_ready(
    urls: Sequence[str], seconds: float = 120, *, lacking: Container[str] = ()
) -> None:
    until = time.monotonic() + seconds
    for url in urls:
        while (told := _why_not_ready(url, lacking)) is not None:
            assert time.monotonic() < until, f"{url} is not ready: {told}"
            time.sleep(0.05)


def _why_not_ready(url: str, lacking: Container[str]) -> str | None:
    try:
        answer = httpx.get(f"{url}/readyz")
    except httpx.TransportError as error:
        return str(error)
    if answer.status_code == httpx.codes.OK:
        return None
    checks = answer.json().get("checks", {"status": answer.text})
    failing = {name: why for name, why in checks.items() if why and name not in lacking}
    return str(failing) if failing else None


@dataclass
class GatewayProcess:
    url: str
    process: Forked
    log: Path

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def gateway_process(
    city: City,
    home: Path,
    *,
    ready: bool = True,
    lacking: Container[str] = (),
    module: Sequence[str] = ("gateway",),
    settings: Mapping[str, str] | None = None,
) -> Iterator[GatewayProcess]:
    """Run `python -m gateway` on a city.

    Args:
        city: Its node and keyholders.
        home: Of the gateway's database and journal; the same one again is the same gateway.
        ready: Whether to wait until it is.
        lacking: Checks that cannot succeed here, so that they are not waited for.
        module: What to run, with its arguments.
        settings: More settings, by name in lowercase.
    """
    wanted = dict(settings or {})
    port = int(wanted.pop("port", 0)) or free_port()
    url = f"http://127.0.0.1:{port}"
    values = {
        "recorder_key": str(_key_file(city)),
        "recorder_password": "env:TEST_PASSWORD",
        "keyholders": json.dumps(city.keyholders.by_address),
        **wanted,
    }
    recorder = city.chain.parties.recorder
    environment = gateway_environment(city.chain, home, port, recorder, PASSWORD, **values)
    log = home / "log"
    environment = {**os.environ, **environment, "TEST_PASSWORD": PASSWORD}
    process = start(module, environment, out=log)
    try:
        if ready:
            _wait_until_ready([url], lacking=lacking)
        yield GatewayProcess(url, process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def _key_file(city: City) -> Path:
    """The key file of the gateway's account; each city has one."""
    return store_recorder(city.home / "gateway", city.chain.parties.recorder, PASSWORD)

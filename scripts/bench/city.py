"""The whole system for the benchmark: every process, a published dataset, people who granted.

Set up as `make demo` does it, over HTTP and with each party's own tools; only larger.
"""

import asyncio
import io
import os
import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from ledger.api.consent import ConsentRequest, new_consent_request
from ledger.chain.deployment import encode_deployment
from ledger.chain.events import PurposeTerms, Text
from scripts.bench.bare_chain import ASKED_FIELDS
from scripts.bench.bench import Bench, run_module, wait_until
from scripts.bench.department import PublishingPlan, publish
from scripts.bench.load import Grant, Plan, Report
from scripts.city.write import Size
from scripts.demo.agreeing import agree
from scripts.demo.cast import BANK, INSURER, REAL_ESTATE, REGULATOR
from scripts.demo.files import CityFiles, Resident
from scripts.demo.publish import admit_parties, register_datasets, register_purposes
from scripts.demo.stage import Stage
from scripts.demo.world import ACCOUNT, World, purpose_of
from scripts.processes import SCRYPT_N
from scripts.scenario import DAY, MAX_USES, YEAR
from wallet.citizen.enrolment import NewId, enrol_person
from wallet.citizen.proposal import compose
from wallet.client.consent_requests import Asked
from wallet.client.identity import Person, PersonKind, ask_link, issue_code
from wallet.client.party import PartyKey
from wallet.client.relays import relay_authorization, relayed
from wallet.client.retry import with_retries
from wallet.client.signers import AccountSigner, approve, asking
from wallet.client.transports import AsyncClient
from wallet.keystore import Kind
from wallet.parties import Consumer, Provider
from wallet.party import Party
from wallet.passwords import Password
from wallet.provider.description import read_description
from wallet.supervisor import Supervisor, SupervisorSettings

PASSWORD: Final = "bench"  # noqa: S105 - of keystores that are worth nothing
PEOPLE_FOR_ONE_GRANT: Final = 5
"""Residents of a city in which one of them has exactly one record, amply."""
WARM_UP: Final = 5.0
"""Seconds of load before it counts."""
_TIMEOUT: Final = 60.0

_AT_ONCE: Final = 32
_PURPOSE: Final = PurposeTerms(
    code="bench-loan",
    texts=(
        Text(
            "zh",
            "我同意{consumer}为业务 {case} 查询我的{dataset}中的 {fields}，{uses}，至{until}，数据{retention}。",
        ),
        Text(
            "en",
            "I let {consumer} read {fields} of {dataset}, {uses}, for case {case}, until {until}, "
            "{retention}.",
        ),
    ),
    max_validity=YEAR,
    max_uses=MAX_USES,
    min_interval=0,
    retention=YEAR,
)


class FullCity:
    """All processes, and the parties in front of them."""

    def __init__(self, supervisor: Supervisor, world: World) -> None:
        self.supervisor = supervisor
        self.world = world
        self.grants: tuple[Grant, ...] = ()
        self._agreed: set[bytes] = set()

    @property
    def bank(self) -> Consumer:
        return self.world.consumer(BANK)

    @property
    def provider(self) -> Provider:
        """The department whose dataset it is."""
        return self.world.provider_of(REAL_ESTATE)

    @property
    def dataset(self) -> bytes:
        return self.world.dataset(REAL_ESTATE)

    def prepare(self) -> None:
        """Admit the parties, register purpose and dataset."""
        admit_parties(self.world, [self.world.role_of(self.provider), BANK, INSURER, REGULATOR])
        register_purposes(self.world, [_PURPOSE])
        register_datasets(self.world, [REAL_ESTATE])

    def publishing_plan(self, file: Path) -> PublishingPlan:
        """Return what the department's process needs to publish a file."""
        world, provider = self.world, self.provider
        return PublishingPlan(
            endpoints=world.endpoints(),
            keyholders=world.addresses.keyholders,
            deployment=encode_deployment(world.deployment),
            key=account_of(provider),
            opening=provider.encryption_key.to_bytes(),
            description=str(world.files.description),
            code=REAL_ESTATE,
            dataset=self.dataset,
            file=str(file),
            workspace=str(provider.home / "books"),
        )

    def publish(self) -> None:
        """Publish the dataset's file."""
        publish(self.publishing_plan(self.world.files.path(REAL_ESTATE)))

    def grant(self, count: int) -> None:
        """Let people with one record each enrol and authorize the bank, for many uses."""
        self.grants = self.granted_to(self.bank, count)

    def granted_to(self, consumer: Consumer, count: int, *, skipped: int = 0) -> tuple[Grant, ...]:
        """Let people with one record each enrol and authorize a consumer, for many uses."""
        files = self.world.files
        chosen = [
            resident
            for resident in files.residents
            if len(files.rows_of(REAL_ESTATE, resident.resident_id)) == 1
        ]
        if consumer.address not in self._agreed:
            agree(self.world, consumer, REAL_ESTATE, _PURPOSE, bind=not self._agreed)
            self._agreed.add(consumer.address)
        granting = chosen[skipped : skipped + count]
        return tuple(asyncio.run(self._grant_all(consumer, granting)))

    def load(self, *, workers: int, size: int, seconds: float) -> Report:
        """Let the load generator use what was granted to the bank; three fields of each record.

        Raises:
            BenchError: it did not end well.
        """
        return self.load_of(self.bank, self.grants, workers=workers, size=size, seconds=seconds)

    def load_of(
        self,
        consumer: Consumer,
        grants: tuple[Grant, ...],
        *,
        workers: int,
        size: int,
        seconds: float,
    ) -> Report:
        """Do as `load`, for any consumer."""
        plan = Plan(
            gateway=self.supervisor.addresses.gateway,
            node=self.supervisor.addresses.node,
            deployment=encode_deployment(self.supervisor.deployment),
            key=account_of(consumer),
            grants=grants,
            fields=ASKED_FIELDS,
            workers=workers,
            size=size,
            warm_up=WARM_UP,
            seconds=seconds,
            pids=self.supervisor.pids | {"miner and bench": os.getpid()},
        )
        patience = WARM_UP + seconds + _TIMEOUT
        printed = run_module("scripts.bench.load", msgspec.msgpack.encode(plan), timeout=patience)
        return msgspec.msgpack.decode(printed, type=Report)

    def restart(self, block_time: float) -> None:
        """Stop every process and start it again, with blocks at another pace."""
        self.supervisor.stop()
        settings = replace(self.supervisor.settings, block_time=block_time)
        self.supervisor = Supervisor(settings, Password(PASSWORD))
        self.supervisor.start()

    def stop_gateway(self) -> None:
        """End the gateway as an operator would, and wait until it is gone."""
        pid = self.supervisor.pids["gateway"]
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: "gateway" not in self.supervisor.pids, _TIMEOUT, "stopping the gateway")

    async def _grant_all(self, consumer: Consumer, residents: Sequence[Resident]) -> list[Grant]:
        world, room = self.world, asyncio.Semaphore(_AT_ONCE)
        chain_id = world.deployment.chain_id
        officer = AsyncClient(world.endpoints(), key=world.officer.key, chain_id=chain_id)
        people = AsyncClient(world.endpoints(), chain_id=chain_id)

        async def one(resident: Resident) -> Grant:
            async with room:
                person = Person(PersonKind.RESIDENT, resident.resident_id, resident.name)
                code = (await officer.run(with_retries(issue_code(person, "identity card")))).code
                return await people.run(self._enrol_and_grant(consumer, person, code))

        async with officer, people:
            return list(await asyncio.gather(*map(one, residents)))

    async def _enrol_and_grant(self, consumer: Consumer, person: Person, code: str) -> Grant:
        signer = AccountSigner(PartyKey(secrets.token_bytes(32)))
        (mine,) = await enrol_person(self.world.ledger(), person, code, [NewId(signer)])
        subject = bytes.fromhex(mine.subject.removeprefix("0x"))
        link = await asking(signer, ask_link(self.dataset, subject))
        now = int(time.time())
        asked = Asked("", subject, self._ask(consumer), now)
        terms = read_description(self.world.files.description, REAL_ESTATE).terms()
        record = compose(
            asked, self.world.role_of(consumer).name, terms, _PURPOSE, now
        ).authorization
        approval = approve(signer, record, self.world.deployment)
        await relayed(relay_authorization(record, approval, link, None))
        return Grant(record, link)

    def _ask(self, consumer: Consumer) -> ConsentRequest:
        return new_consent_request(
            consumer=consumer.address,
            dataset=self.dataset,
            purpose=purpose_of(_PURPOSE),
            fields=self.world.mask(REAL_ESTATE),
            case_number=f"bench-{secrets.token_hex(4)}",
            expires_at=int(time.time()) + 30 * DAY,
            max_uses=MAX_USES,
        )


def account_of(party: Party) -> bytes:
    """Return a party's private key, for a process of its own."""
    return party.keystore.load(ACCOUNT, Kind.ETHEREUM_KEY, Password(PASSWORD))


@contextmanager
def full_city(bench: Bench, home: Path, size: Size, block_time: float) -> Iterator[FullCity]:
    """Run the whole system until the context ends; nothing is published yet."""
    password, began = Password(PASSWORD), time.monotonic()
    settings = SupervisorSettings(home, block_time=block_time, scrypt_n=SCRYPT_N)
    files = CityFiles(home / "city", size)
    supervisor = Supervisor(settings, password)
    supervisor.start()
    city: FullCity | None = None
    try:
        registers = [str(files.directory / register.file) for register in files.manifest.registers]
        supervisor.command("identity", "import", *registers)
        stage = Stage(Console(file=io.StringIO()))
        deployment = supervisor.deployment
        world = World(stage, home, password, supervisor.addresses, deployment, files)
        city = FullCity(supervisor, world)
        city.prepare()
        bench.say(f"a whole city, every process ({time.monotonic() - began:.1f} s)")
        yield city
    finally:
        if city is not None:
            city.world.close()
            supervisor = city.supervisor
        supervisor.stop()

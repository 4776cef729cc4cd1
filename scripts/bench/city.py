"""The whole system for the benchmark: every process, a published dataset, people who granted.

Set up as `make demo` does it, over HTTP and with each party's own tools; only larger.
"""

import asyncio
import io
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from ledger import contracts
from ledger.deployment import encode_deployment
from ledger.enumerations import Roles
from ledger.events import PurposeTerms, Text
from ledger.typed_data import Authorization
from scripts.bench.bare_chain import ALL_FIELDS, ASKED_FIELDS, DAY, MOST_USES, YEAR
from scripts.bench.bench import Bench, run_module
from scripts.bench.load import Grant, Plan, Report
from scripts.city.write import Size
from scripts.demo.agreeing import agree
from scripts.demo.cast import BANK, REAL_ESTATE, REGULATOR
from scripts.demo.files import CityFiles, Resident
from scripts.demo.publish import workspace
from scripts.demo.stage import Stage
from scripts.demo.world import ACCOUNT, SCRYPT_N, Party, World, purpose_of
from wallet.citizen.enrolment import NewId, enrol_person
from wallet.client.identity import Person, PersonKind, ask_link, issue_code
from wallet.client.party import PartyKey
from wallet.client.patience import patiently
from wallet.client.relays import relay_authorization, relayed
from wallet.client.signers import AccountSigner, approve, asking
from wallet.client.steps import Steps
from wallet.client.transports import AsyncClient
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.provider.description import read_description
from wallet.provider.publisher import Publisher
from wallet.provider.services import RemoteServices
from wallet.supervisor import Supervisor, SupervisorSettings

PEOPLE_FOR_ONE_GRANT: Final = 5
"""Residents of a city in which one of them has exactly one record, amply."""
WARM_UP: Final = 2.0
"""Seconds of load before it counts."""
_PATIENCE: Final = 60.0

_AT_ONCE: Final = 32
_PASSWORD: Final = "bench"  # noqa: S105 - of keystores that are worth nothing
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
    max_uses=MOST_USES,
    min_interval=0,
    retention=YEAR,
)


class FullCity:
    """All processes, and the parties in front of them.

    Args:
        supervisor: with everything running.
        world: the parties with their clients.
        grants: what people granted the bank, once they have.
    """

    def __init__(self, supervisor: Supervisor, world: World) -> None:
        self.supervisor = supervisor
        self.world = world
        self.grants: tuple[Grant, ...] = ()

    @property
    def bank(self) -> Party:
        """The consumer."""
        return self.world.bank

    @property
    def provider(self) -> Party:
        """The department whose dataset it is."""
        return self.world.provider_of(REAL_ESTATE)

    @property
    def dataset(self) -> bytes:
        """Id of the dataset."""
        return self.world.dataset(REAL_ESTATE)

    def prepare(self) -> None:
        """Admit the parties, register purpose and dataset."""
        world = self.world
        department = self.provider.role
        for role in (department, BANK, REGULATOR):
            party = world.party(role)
            world.authority.send(contracts.admit(party.address, role.roles, role.name))
            if role.roles & (Roles.PROVIDER | Roles.CONSUMER):
                key = party.opening.encryption_key.to_bytes()
                party.send(contracts.set_encryption_key(key))
        world.authority.send(contracts.register_purpose(_PURPOSE))
        terms = read_description(world.files.description, REAL_ESTATE).terms()
        self.provider.send(contracts.register_dataset(terms))

    def publish(self) -> None:
        """Publish the dataset's file, on the department's machine."""
        provider, addresses = self.provider, self.world.addresses
        services = RemoteServices(
            provider.client, provider.ledger, provider.opening, addresses.keyholders
        )
        description = read_description(self.world.files.description, REAL_ESTATE)
        Publisher(description, self.dataset, services, workspace(self.world, provider)).publish(
            self.world.files.path(REAL_ESTATE)
        )

    def grant(self, count: int) -> None:
        """Let people with one record each enrol and authorize the bank, for many uses."""
        files = self.world.files
        chosen = [
            one for one in files.residents if len(files.rows_of(REAL_ESTATE, one.resident_id)) == 1
        ]
        agree(self.world, self.bank, REAL_ESTATE, _PURPOSE)
        self.grants = tuple(asyncio.run(self._grant_all(chosen[:count])))

    def load(self, *, workers: int, size: int, seconds: float) -> Report:
        """Let the load generator use what was granted; three fields of each record.

        Raises:
            BenchError: it did not end well.
        """
        plan = Plan(
            gateway=self.supervisor.addresses.gateway,
            node=self.supervisor.addresses.node,
            deployment=encode_deployment(self.supervisor.deployment),
            key=self._account_of_bank(),
            opening=self.bank.opening.to_bytes(),
            grants=self.grants,
            fields=ASKED_FIELDS,
            workers=workers,
            size=size,
            warm_up=WARM_UP,
            seconds=seconds,
            pids=self.supervisor.pids | {"miner and bench": os.getpid()},
        )
        patience = WARM_UP + seconds + _PATIENCE
        printed = run_module("scripts.bench.load", msgspec.msgpack.encode(plan), timeout=patience)
        return msgspec.msgpack.decode(printed, type=Report)

    def restart(self, block_time: float) -> None:
        """Stop every process and start it again, with blocks at another pace."""
        self.supervisor.stop()
        settings = replace(self.supervisor.settings, block_time=block_time)
        self.supervisor = Supervisor(settings, Password(_PASSWORD))
        self.supervisor.start()

    def _account_of_bank(self) -> bytes:
        keystore = Keystore(self.world.data / "parties" / BANK.code / "keystore")
        return keystore.load(ACCOUNT, Kind.ETHEREUM_KEY, Password(_PASSWORD))

    async def _grant_all(self, residents: Sequence[Resident]) -> list[Grant]:
        world, room = self.world, asyncio.Semaphore(_AT_ONCE)
        chain_id = world.deployment.chain_id
        officer = AsyncClient(world.endpoints(), key=world.officer.key, chain_id=chain_id)
        people = AsyncClient(world.endpoints(), chain_id=chain_id)

        async def one(resident: Resident) -> Grant:
            async with room:
                person = Person(PersonKind.RESIDENT, resident.resident_id, resident.name)
                code = (await officer.run(patiently(issue_code(person, "identity card")))).code
                return await people.run(self._enrol_and_grant(person, code))

        async with officer, people:
            return list(await asyncio.gather(*map(one, residents)))

    def _enrol_and_grant(self, person: Person, code: str) -> Steps[Grant]:
        signer = AccountSigner(PartyKey(secrets.token_bytes(32)))
        (mine,) = yield from enrol_person(person, code, [NewId(signer)])
        subject = bytes.fromhex(mine.subject.removeprefix("0x"))
        link = yield from asking(signer, ask_link(self.dataset, subject))
        now = int(time.time())
        record = Authorization(
            subject=subject,
            consumer=self.bank.address,
            dataset=self.dataset,
            item=bytes(32),
            purpose=purpose_of(_PURPOSE),
            fields=ALL_FIELDS,
            case_reference=secrets.token_bytes(32),
            statement="I let a bank read something.",
            not_before=now - 60,
            expires_at=now + 30 * DAY,
            max_uses=MOST_USES,
            min_interval=0,
            nonce=secrets.token_bytes(32),
            deadline=now + 3600,
        )
        approval = approve(signer, record, self.world.deployment)
        yield from relayed(relay_authorization(record, approval, link, None))
        return Grant(record, link)


@contextmanager
def full_city(bench: Bench, home: Path, size: Size, block_time: float) -> Iterator[FullCity]:
    """Run the whole system until the context ends; nothing is published yet."""
    password, began = Password(_PASSWORD), time.monotonic()
    settings = SupervisorSettings(home, block_time=block_time, scrypt_n=SCRYPT_N)
    files = CityFiles(home / "city", size)
    supervisor = Supervisor(settings, password)
    supervisor.start()
    city: FullCity | None = None
    try:
        registers = [str(files.directory / one.register.file) for one in files.manifest.registers]
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

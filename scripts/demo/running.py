"""Starting the city for the story, and stopping it again."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from scripts.city.catalogue import ENTERPRISES, RESIDENTS
from scripts.city.write import Size
from scripts.demo.files import CityFiles
from scripts.demo.stage import Stage
from scripts.demo.world import World
from scripts.processes import SCRYPT_N
from wallet.passwords import Password
from wallet.supervisor import Supervisor, SupervisorSettings

PASSWORD: Final = "quancheng"  # noqa: S105 - of keystores that are worth nothing
RECOVERY_DELAY: Final = 5
"""Seconds; three days in earnest."""


@contextmanager
def start(stage: Stage, data: Path, size: Size, *, keep: bool) -> Iterator[World]:
    """Write the departments' files, start every process, and stop them at the end.

    Raises:
        SupervisorError: a process cannot be started.
    """
    password = Password(PASSWORD)
    settings = SupervisorSettings(data, recovery_delay=RECOVERY_DELAY, scrypt_n=SCRYPT_N)
    supervisor = Supervisor(settings, password, stage.step)
    try:
        with stage.act("The city: its files, its chain, its services"):
            files = CityFiles(data / "city", size)
            records, sets = files.manifest.records, len(files.manifest.datasets)
            stage.check(
                f"{records:,} records in {sets} files, about {size.people:,} people",
                records >= size.records,
                True,
            )
            supervisor.start()
            registers = [files.directory / one.file for one in (RESIDENTS, ENTERPRISES)]
            supervisor.command("identity", "import", *map(str, registers))
        world = World(stage, data, password, supervisor.addresses, supervisor.deployment, files)
        with closing(world):
            yield world
        if keep:
            supervisor.leave()
    finally:
        supervisor.stop()


def show_how_to_go_on(world: World) -> None:
    """Say where everything is that was left running."""
    addresses = world.addresses
    lines = [
        ("gateway", addresses.gateway),
        ("its catalogue", f"{addresses.gateway}/v1/catalogue"),
        ("identity authority", addresses.identity),
        *((f"keyholder {n}", url) for n, url in enumerate(addresses.keyholders, 1)),
        ("node (JSON-RPC)", addresses.node),
        ("data, keys, logs", str(world.data)),
        ("password of the keys", PASSWORD),
        ("to stop it", f"make demo STOP={world.data}"),
    ]
    world.stage.show_lines("Left running", lines)

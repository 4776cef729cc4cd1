"""What the gauges of `/metrics` show, read when they are asked for."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from gateway.errors import GatewayError
from gateway.services import Services


async def measure(services: Services) -> None:
    """Set all gauges: a scrape of `/metrics` alone shows everything that an alarm needs."""
    await services.problems()
    head, following = services.index.head, services.following
    keyholders = await services.access.keyholders.availability()
    found: dict[str, float] = {
        "final_block": following.final_block,
        "indexed_block": head.number,
        "indexed_block_timestamp_seconds": head.timestamp,
        "indexed_accesses": head.sequence,
        "accesses_waiting": services.access.accesses.waiting,
        "keyholders_ready": keyholders.ready,
        "keyholders_needed": keyholders.needed,
        "journal_disk_free_bytes": await asyncio.to_thread(_room, services.access.settings.journal),
    }
    if services.access.recorder is not None:
        status = services.access.recorder.status
        found |= {"recorder_queued": status.queued, "recorder_in_flight": status.in_flight}
        if status.reconciliation is not None:
            found["reconciliation_differences"] = len(status.reconciliation.differences)
    with suppress(GatewayError):  # the check of the database says so
        found["last_alert"] = await services.access.alerts.last()
    for name, value in found.items():
        services.metrics.state[name].set(value)


def _room(directory: Path) -> int:
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return shutil.disk_usage(directory).free

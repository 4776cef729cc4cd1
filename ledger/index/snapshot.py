"""What every request may need, so that it is kept in memory: parties, datasets, purposes, orders."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from ledger.index import tables
from ledger.index.rows import DatasetEntry, Head, OrderEntry, PartyEntry, PurposeEntry, Snapshot
from ledger.model import Class, Roles


def read_again(
    connection: Connection, snapshot: Snapshot, head: Head, changed: Collection[str]
) -> Snapshot:
    """Return the snapshot as of another head, at which the index is.

    `changed` has the names of the tables that were written to: the rest is as it was.
    """
    fresh = {
        attribute: read(connection) for name, (attribute, read) in KEPT.items() if name in changed
    }
    return msgspec.structs.replace(snapshot, head=head, **fresh)


def _parties(connection: Connection) -> dict[bytes, PartyEntry]:
    recorders_of: dict[int, set[bytes]] = {}
    recorders = select(tables.recorders.c.consumer, tables.recorders.c.recorder)
    for consumer, recorder in connection.execute(recorders).all():
        recorders_of.setdefault(consumer, set()).add(recorder)
    columns = [
        tables.parties.c[name] for name in PartyEntry.__struct_fields__ if name != "recorders"
    ]
    statement = select(tables.parties.c.key, *columns).where(tables.parties.c.roles > 0)
    entries = {}
    for values in _dicts(connection, statement):
        values["roles"] = Roles(values["roles"])
        values["recorders"] = frozenset(recorders_of.get(values.pop("key"), ()))
        entries[values["address"]] = PartyEntry(**values)
    return entries


def _datasets(connection: Connection) -> dict[bytes, DatasetEntry]:
    table = tables.datasets
    statement: Select[Any] = select(
        tables.parties.c.address,
        *(table.c[name] for name in DatasetEntry.__struct_fields__ if name != "provider"),
    ).join(tables.parties, tables.parties.c.key == table.c.provider)
    entries = {}
    for values in _dicts(connection, statement):
        values["provider"] = values.pop("address")
        values["fields"] = tuple(json.loads(values["fields"]))
        values["sharing"], values["open"] = Class(values["sharing"]), Class(values["open"])
        entries[values["id"]] = DatasetEntry(**values)
    return entries


def _purposes(connection: Connection) -> dict[bytes, PurposeEntry]:
    bound: dict[bytes, dict[bytes, int]] = {}
    fields: Select[Any] = select(
        tables.purpose_fields.c.purpose, tables.datasets.c.id, tables.purpose_fields.c.fields
    ).join(tables.datasets, tables.datasets.c.key == tables.purpose_fields.c.dataset)
    for purpose, dataset, mask in connection.execute(fields).all():
        bound.setdefault(purpose, {})[dataset] = mask
    columns = [
        tables.purposes.c[name] for name in PurposeEntry.__struct_fields__ if name != "fields"
    ]
    entries = {}
    for values in _dicts(connection, select(*columns)):
        values["texts"] = tuple((name, template) for name, template in json.loads(values["texts"]))
        entries[values["id"]] = PurposeEntry(**values, fields=bound.get(values["id"], {}))
    return entries


def _orders(connection: Connection) -> dict[bytes, OrderEntry]:
    table = tables.orders
    statement: Select[Any] = select(
        table.c.id,
        tables.datasets.c.id.label("dataset_id"),
        *(table.c[name] for name in OrderEntry.__struct_fields__ if name not in ("id", "dataset")),
    ).join(tables.datasets, tables.datasets.c.key == table.c.dataset)
    entries = {}
    for values in _dicts(connection, statement):
        values["dataset"] = values.pop("dataset_id")
        values["sharing"] = Class(values["sharing"])
        entries[values["id"]] = OrderEntry(**values)
    return entries


def _named(connection: Connection) -> dict[bytes, bool]:
    rows = connection.execute(select(tables.named.c.address))
    return dict.fromkeys(rows.scalars(), True)


def _successors(connection: Connection) -> dict[bytes, bytes]:
    table = tables.successors
    rows = connection.execute(select(table.c.authority, table.c.successor))
    return {row.authority: row.successor for row in rows.all()}


def _ended_links(connection: Connection) -> dict[bytes, int]:
    table = tables.ended_links
    rows = connection.execute(select(table.c.subject, table.c.links_from))
    return {row.subject: row.links_from for row in rows.all()}


def _erasures(connection: Connection) -> dict[bytes, int]:
    table, datasets = tables.erasures, tables.datasets
    statement = (
        select(datasets.c.id, func.count())
        .join(table, table.c.dataset == datasets.c.key)
        .group_by(datasets.c.id)
    )
    return dict(map(tuple, connection.execute(statement).all()))


def _dicts(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement).mappings()]


KEPT: Final[Mapping[str, tuple[str, Callable[[Connection], Mapping[bytes, Any]]]]] = {
    tables.parties.name: ("parties", _parties),
    tables.datasets.name: ("datasets", _datasets),
    tables.purposes.name: ("purposes", _purposes),
    tables.orders.name: ("orders", _orders),
    tables.named.name: ("named", _named),
    tables.successors.name: ("successors", _successors),
    tables.ended_links.name: ("ended_links", _ended_links),
    tables.erasures.name: ("erasures", _erasures),
}
"""For each table that is kept in memory: where in the snapshot, and how it is read."""

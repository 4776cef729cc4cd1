"""The tables of the gateway's own data. What is copied from the chain stands in `ledger.index`.

Ids and hashes are bytes, times are seconds since 1970, counts are 64-bit. A new database is made from
these tables; an older one is brought to them by `gateway/migrations`, and a test holds the two together.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigKey: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit key that SQLite takes as its row id."""

health: Final = Table(
    "health",
    metadata,
    # One row, updated to find out whether the database can be written to.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("checks", BigInteger, nullable=False),
)

request_nonces: Final = Table(
    "request_nonces",
    metadata,
    Column("address", LargeBinary(20), primary_key=True),
    Column("nonce", String(128), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

used_challenges: Final = Table(
    "used_challenges",
    metadata,
    # Of challenges that were answered rightly, until they would be over: each counts once.
    Column("nonce", String(32), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

challenge_keys: Final = Table(
    "challenge_keys",
    metadata,
    # One row: the key of the MAC by which every gateway on this database knows a challenge.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(32), nullable=False),
)

sessions: Final = Table(
    "sessions",
    metadata,
    # SHA-256 of the token: whoever reads the database cannot use a session.
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("signer", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

uploads: Final = Table(
    "uploads",
    metadata,
    Column("key", BigKey, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("dataset", LargeBinary(32), nullable=False, index=True),
    Column("provider", LargeBinary(20), nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    # Owner and number of the last line received; empty before the first.
    Column("last_place", LargeBinary(40), nullable=False),
    Column("root", LargeBinary(32)),
    Column("count", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("touched_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'sealing', 'sealed', 'served', 'deleted')", name="state"),
    sqlite_autoincrement=True,  # record ids hold the key, so it is never given twice
)

upload_lines: Final = Table(
    "upload_lines",
    metadata,
    # What was received and not sealed yet: `gateway.tiles` entries, in order.
    Column("upload", BigInteger, ForeignKey("uploads.key"), primary_key=True),
    Column("first_line", BigInteger, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("entries", LargeBinary, nullable=False),
)

records: Final = Table(
    "records",
    metadata,
    # upload key * 2^32 + line number: no sequence to ask, and an upload's records are one range.
    Column("id", BigKey, primary_key=True, autoincrement=False),
    # Salt, ciphertexts and leaves (`gateway.ingest.pack_body`); NULL once erased.
    Column("body", LargeBinary),
)

items: Final = Table(
    "items",
    metadata,
    # Record roots of datasets that are not personal: there a request names an item and no owner.
    Column("item", LargeBinary(32), primary_key=True),
    Column("upload", BigInteger, ForeignKey("uploads.key"), primary_key=True, index=True),
    Column("place", LargeBinary(40), nullable=False),
    sqlite_with_rowid=False,
)

tiles: Final = Table(
    "tiles",
    metadata,
    Column("upload", BigInteger, ForeignKey("uploads.key"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("entries", LargeBinary, nullable=False),
)

directories: Final = Table(
    "directories",
    metadata,
    # `gateway.tiles.TileBuilder.directory`, cut into parts.
    Column("upload", BigInteger, ForeignKey("uploads.key"), primary_key=True),
    Column("part", BigInteger, primary_key=True),
    Column("lines", LargeBinary, nullable=False),
)

publications: Final = Table(
    "publications",
    metadata,
    Column("dataset", LargeBinary(32), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("upload", BigInteger, ForeignKey("uploads.key"), nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("count", BigInteger, nullable=False),
    # First block whose accesses are answered from this version, and the time by the clock here.
    Column("served_from_block", BigInteger, nullable=False),
    Column("served_at", BigInteger, nullable=False),
    UniqueConstraint("upload"),
)

erasures: Final = Table(
    "erasures",
    metadata,
    Column("dataset", LargeBinary(32), primary_key=True),
    Column("place", LargeBinary(40), primary_key=True),
    Column("transaction", LargeBinary(32), nullable=False),
    Column("erased_at", BigInteger, nullable=False),
)

Index("ix_publications_served", publications.c.dataset, publications.c.served_from_block)

"""The tables of the gateway's own data. What is copied from the chain stands in `ledger.index`."""

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
    # What was received and not sealed yet: `gateway.publishing.tiles` entries, in order.
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
    # Salt, ciphertexts and leaves (`gateway.publishing.ingest.pack_body`); NULL once erased.
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
    # `gateway.publishing.tiles.TileBuilder.directory`, cut into parts.
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

subject_links: Final = Table(
    "subject_links",
    metadata,
    Column("subject", LargeBinary(32), primary_key=True),
    Column("dataset", LargeBinary(32), primary_key=True),
    Column("owner", LargeBinary(32), nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("signature", LargeBinary, nullable=False),
    # Whose signature it is, so that it is recovered once.
    Column("signer", LargeBinary(20), nullable=False),
    Column("stored_at", BigInteger, nullable=False),
)

releases: Final = Table(
    "releases",
    metadata,
    # Struct hash of the request. One row for every access that this gateway recorded.
    Column("access", LargeBinary(32), primary_key=True),
    # consumer (20) | basis | item | fields | nonce (32 each), and the signature (65) after them: few
    # columns, because each costs time in every access.
    Column("request", LargeBinary(213), nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("outcome", BigInteger, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    # block hash | transaction (32 each)
    Column("place", LargeBinary(64), nullable=False),
    # NULL until something was released.
    Column("dataset", LargeBinary(32)),
    Column("publication", BigInteger),
    # Record numbers, 8 bytes each, and addresses of the keyholders, 20 bytes each.
    Column("records", LargeBinary),
    Column("holders", LargeBinary),
    # To which the parts were sealed: suite | public key, 33 bytes, of the hybrid suite 1,217.
    Column("answer_key", LargeBinary),
    Column("released_at", BigInteger),
)
Index("ix_releases_sequence", releases.c.sequence)

handles: Final = Table(
    "handles",
    metadata,
    # SHA-256 of the handle: whoever reads the database cannot use one.
    Column("handle_hash", LargeBinary(32), primary_key=True),
    Column("subject", LargeBinary(32), nullable=False),
    # The one consumer that used it; NULL before.
    Column("consumer", LargeBinary(20)),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

asks: Final = Table(
    "asks",
    metadata,
    Column("key", BigKey, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("consumer", LargeBinary(20), nullable=False),
    Column("reference", String(32), nullable=False),
    Column("subject", LargeBinary(32), nullable=False),
    Column("state", String(8), nullable=False),
    # The ask as the consumer sent it (`gateway.consent.inbox.Ask`), JSON.
    Column("body", LargeBinary, nullable=False),
    Column("reason", String, nullable=False),
    # Id of the authorization once granted.
    Column("authorization", LargeBinary(32), index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("consumer", "reference"),
    CheckConstraint("state IN ('pending', 'granted', 'refused')", name="state"),
)
Index("ix_asks_subject", asks.c.subject, asks.c.key)

authorizations: Final = Table(
    "authorizations",
    metadata,
    # The signed statements: the chain has only their hashes.
    Column("authorization", LargeBinary(32), primary_key=True),
    Column("subject", LargeBinary(32), nullable=False, index=True),
    Column("record", LargeBinary, nullable=False),
    # NULL where the consumer brought the record: only who relays has the signature.
    Column("signer", LargeBinary),
    Column("signature", LargeBinary),
    # NULL while it is not known to be on chain.
    Column("transaction", LargeBinary(32)),
    Column("stored_at", BigInteger, nullable=False),
)

keyholder_reports: Final = Table(
    "keyholder_reports",
    metadata,
    Column("keyholder", LargeBinary(20), primary_key=True),
    Column("consumer", LargeBinary(20), primary_key=True),
    # Of the consumer, which it is about.
    Column("access", LargeBinary(32), nullable=False),
    # What shows it; NULL for a word.
    Column("proof", LargeBinary),
    Column("reported_at", BigInteger, nullable=False),
)

alerts: Final = Table(
    "alerts",
    metadata,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    # What the alert is about and when, so that the same one is not raised twice.
    Column("key", String(200), nullable=False, unique=True),
    Column("rule", String(32), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("consumer", LargeBinary(20), index=True),
    Column("dataset", LargeBinary(32)),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("text", String, nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    # Which it would suspend.
    Column("agreement", LargeBinary(32)),
    # Of a suspension that the alert led to.
    Column("suspended_until", BigInteger),
    Column("transaction", LargeBinary(32)),
    # Why it led to none and is not tried again.
    Column("suspension_refused", String),
)

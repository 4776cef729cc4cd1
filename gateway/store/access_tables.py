"""The tables of what people and consumers do: asks, links, releases, alerts.

As in `gateway.store.tables`: ids and hashes are bytes, times are seconds since 1970.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from gateway.store.tables import BigKey, metadata

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
    # The ask as the consumer sent it (`gateway.inbox.Ask`), JSON.
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

"""The tables of the index: what the chain's events say, laid out for questions.

All of it can be thrown away and made again from the chain. Addresses and ids appear once, in the table of what they name,
and are meant elsewhere by small numbers (`key`; a subject by its number on chain; 0 for none): with millions of accesses
that halves the size of rows and indices. Times are seconds since 1970.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_BigKey: Final = BigInteger().with_variant(Integer(), "sqlite")


class Uint64(TypeDecorator[int]):
    """A number of 64 bits without sign, in a column of 64 bits with sign; not for comparisons."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        del dialect
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        del dialect
        return value + 2**64 if value is not None and value < 0 else value


class Uint256(TypeDecorator[int]):
    """A number of 256 bits, as big-endian bytes without leading zeros; not for comparisons."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:
        """Write it down."""
        del dialect
        return None if value is None else value.to_bytes((value.bit_length() + 7) // 8, "big")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else int.from_bytes(value, "big")


def _key() -> Column[int]:
    return Column("key", _BigKey, primary_key=True, autoincrement=False)


def _id(name: str = "id", size: int = 32) -> Column[bytes]:
    return Column(name, LargeBinary(size), nullable=False, unique=True)


def _bytes(name: str, size: int | None = 32) -> Column[bytes]:
    return Column(name, LargeBinary(size), nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


progress: Final = Table(
    "chain_progress",
    metadata,
    # One row: how far the index is. It changes in the transaction that writes what it tells of.
    Column("id", Integer, primary_key=True, autoincrement=False),
    _bytes("genesis"),
    _bytes("access_log", 20),
    _number("block_number"),
    _bytes("block_hash"),
    _number("timestamp"),
    _number("sequence"),
    # The running hash over all accesses up to there.
    _bytes("head"),
    # Rows of `chain_faults`.
    _number("faults"),
)

event_counts: Final = Table(
    "chain_event_counts",
    metadata,
    # The number of the last event of each contract that numbers its events.
    Column("contract", LargeBinary(20), primary_key=True),
    Column("count", Uint64, nullable=False),
)

faults: Final = Table(
    "chain_faults",
    metadata,
    # What no contract can have emitted in its place; nothing of it is in the other tables.
    _key(),
    _number("block_number"),
    _number("log_index"),
    _text("name"),
    _text("problem"),
)

transactions: Final = Table(
    "chain_transactions",
    metadata,
    # Only those with events; in the order of the chain.
    _key(),
    Column("hash", LargeBinary(32), nullable=False, index=True),
    _number("block_number"),
    _bytes("block_hash"),
    _number("timestamp"),
)

parties: Final = Table(
    "chain_parties",
    metadata,
    _key(),
    _id("address", 20),
    _text("name"),
    # 0 for an address that appears somewhere and was never admitted.
    Column("roles", SmallInteger, nullable=False),
    _flag("active"),
    Column("restricted_until", Uint64, nullable=False),
    _text("restriction"),
    _text("appeal"),
    _bytes("encryption_key", None),
)

named: Final = Table(
    "chain_named",
    metadata,
    # Who is somebody without being a party yet: whose admission or authority was announced, and supervisors.
    Column("address", LargeBinary(20), primary_key=True),
)

recorders: Final = Table(
    "chain_recorders",
    metadata,
    # Whom consumers named to record their requests.
    Column("consumer", BigInteger, primary_key=True),
    Column("recorder", LargeBinary(20), primary_key=True),
)

successors: Final = Table(
    "chain_successors",
    metadata,
    # Of identity authorities: who acts for an authority's subjects beside itself.
    Column("authority", LargeBinary(20), primary_key=True),
    Column("successor", LargeBinary(20), nullable=False),
)

ended_links: Final = Table(
    "chain_ended_links",
    metadata,
    # Of the few subjects whose links were ended: up to which second.
    Column("subject", LargeBinary(32), primary_key=True),
    Column("links_from", Uint64, nullable=False),
)

datasets: Final = Table(
    "chain_datasets",
    metadata,
    _key(),
    _id(),
    _number("provider"),
    _text("code"),
    _text("title"),
    # JSON array of names.
    _text("fields"),
    _flag("personal"),
    Column("sharing", SmallInteger, nullable=False),
    Column("open", SmallInteger, nullable=False),
    Column("grade", SmallInteger, nullable=False),
    _number("update_cycle"),
    _flag("withdrawn"),
    # Of the newest publication; 0 for none.
    _number("version"),
    _number("published_at"),
    _number("registered_at"),
)

publications: Final = Table(
    "chain_publications",
    metadata,
    Column("dataset", BigInteger, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    _bytes("root"),
    Column("count", Uint64, nullable=False),
    _number("base"),
    _bytes("manifest"),
    _number("transaction"),
)

erasures: Final = Table(
    "chain_erasures",
    metadata,
    Column("dataset", BigInteger, primary_key=True),
    Column("item", LargeBinary(32), primary_key=True),
    _number("version"),
    _number("transaction"),
)

purposes: Final = Table(
    "chain_purposes",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    _text("code"),
    # JSON array of [language, template].
    _text("texts"),
    Column("max_validity", Uint64, nullable=False),
    _number("max_uses"),
    _number("min_interval"),
    Column("retention", Uint64, nullable=False),
    _flag("active"),
)

purpose_fields: Final = Table(
    "chain_purpose_fields",
    metadata,
    Column("purpose", LargeBinary(32), primary_key=True),
    Column("dataset", BigInteger, primary_key=True),
    Column("fields", Uint256, nullable=False),
)

applications: Final = Table(
    "chain_applications",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("consumer", BigInteger, nullable=False, index=True),
    Column("dataset", BigInteger, nullable=False, index=True),
    _bytes("purpose"),
    Column("fields", Uint256, nullable=False),
    _text("justification"),
    # pending, approved or declined.
    Column("state", String(8), nullable=False),
    _text("reason"),
    _flag("signed"),
    _number("transaction"),
)

agreements: Final = Table(
    "chain_agreements",
    metadata,
    Column("number", _BigKey, primary_key=True, autoincrement=False),
    _id(),
    _bytes("application"),
    Column("consumer", BigInteger, nullable=False, index=True),
    Column("dataset", BigInteger, nullable=False, index=True),
    _bytes("purpose"),
    Column("fields", Uint256, nullable=False),
    Column("expires_at", Uint64, nullable=False),
    _flag("withdrawn"),
    _number("round"),
    Column("suspended_until", Uint64, nullable=False),
    _flag("suspension_unseen"),
    # When a regulator looked last; zero for never.
    Column("reviewed_at", Uint64, nullable=False),
    # Of the last withdrawal or suspension.
    _text("reason"),
    _number("transaction"),
)

orders: Final = Table(
    "chain_orders",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("dataset", BigInteger, nullable=False, index=True),
    _bytes("purpose"),
    Column("sharing", SmallInteger, nullable=False),
    Column("fields", Uint256, nullable=False),
    Column("starts_at", Uint64, nullable=False),
    Column("ends_at", Uint64, nullable=False),
    _text("reason"),
    _flag("countersigned"),
    _flag("reviewed"),
    _text("findings"),
    _number("transaction"),
)

subjects: Final = Table(
    "chain_subjects",
    metadata,
    Column("number", _BigKey, primary_key=True, autoincrement=False),
    _id(),
    _bytes("registrar", 20),
    _number("links_from"),
    _bytes("signer", None),
    # The bytes themselves may be longer than an index takes.
    Column("signer_hash", LargeBinary(32), nullable=False, index=True),
    _flag("frozen"),
    Column("liftable_at", Uint64, nullable=False),
    _flag("closed"),
    _number("epoch"),
    Column("recovery_at", Uint64, nullable=False),
    _bytes("pending_signer", None),
    _number("transaction"),
)

guardians: Final = Table(
    "chain_guardians",
    metadata,
    Column("subject", BigInteger, primary_key=True),
    # Keccak-256 of the guardian's signer.
    Column("guardian", LargeBinary(32), primary_key=True, index=True),
    Column("expires_at", Uint64, nullable=False),
)

bases: Final = Table(
    "chain_bases",
    metadata,
    # Everything that an access can rest on, and ids that were tried and name nothing.
    _key(),
    _id(),
    Column("kind", String(13), nullable=False),
    _number("dataset"),
    _number("subject"),
    _bytes("item"),
)

authorizations: Final = Table(
    "chain_authorizations",
    metadata,
    # The same key as in `chain_bases`.
    _key(),
    Column("subject", BigInteger, nullable=False, index=True),
    Column("consumer", BigInteger, nullable=False, index=True),
    # As of the grant's place: the person was shown it.
    _text("consumer_name"),
    _bytes("purpose"),
    Column("fields", Uint256, nullable=False),
    Column("case_reference", LargeBinary(32), nullable=False, index=True),
    _bytes("statement_hash"),
    Column("not_before", Uint64, nullable=False),
    Column("expires_at", Uint64, nullable=False),
    _number("max_uses"),
    _number("min_interval"),
    _bytes("nonce"),
    Column("deadline", Uint64, nullable=False),
    _number("agreement"),
    _number("round"),
    _number("epoch"),
    _bytes("signer_hash"),
    _number("transaction"),
    # Of the revocation; 0 while there is none.
    _number("revoked_in"),
)

accesses: Final = Table(
    "chain_accesses",
    metadata,
    Column("sequence", _BigKey, primary_key=True, autoincrement=False),
    _number("transaction"),
    _number("log_index"),
    _number("consumer"),
    _number("basis"),
    _number("dataset"),
    _number("subject"),
    Column("outcome", SmallInteger, nullable=False),
    _number("deadline"),
    Column("fields", Uint256, nullable=False),
    Column("nonce", Uint256, nullable=False),
    # Empty for all that the basis covers.
    _bytes("item"),
)

voids: Final = Table(
    "chain_voids",
    metadata,
    # Accesses whose use was given back: only of this basis, since the chain does not know whose access it was.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # The authorization's key in `chain_bases`.
    Column("basis", BigInteger, primary_key=True, autoincrement=False, index=True),
    _number("last_use"),
    Column("ground", SmallInteger, nullable=False),
    _text("reason"),
    _number("transaction"),
)

events: Final = Table(
    "chain_events",
    metadata,
    # All events but accesses, in the order of the chain.
    _key(),
    _number("transaction"),
    _number("log_index"),
    Column("name", String(32), nullable=False),
    _number("subject"),
    _number("party"),
    _number("dataset"),
    _number("basis"),
    # Whether a text in it is not plain (`ledger.plain_text`), or had to be escaped to be kept.
    Column("unfit", Boolean, nullable=False),
    # JSON object: the event's members, bytes as 0x strings.
    _text("body"),
)

for _table, _names, _order in (
    (accesses, ("subject", "consumer", "dataset", "basis"), accesses.c.sequence),
    (events, ("subject", "party", "dataset", "basis"), events.c.key),
):
    for _name in _names:
        _positive = text(f"{_name} > 0")
        Index(
            f"ix_{_table.name}_{_name}",
            _table.c[_name],
            _order,
            sqlite_where=_positive,
            postgresql_where=_positive,
        )
Index(
    "ix_chain_events_unfit",
    events.c.key,
    sqlite_where=text("unfit"),
    postgresql_where=text("unfit"),
)

TABLES: Final = tuple(metadata.sorted_tables)
"""All of them."""

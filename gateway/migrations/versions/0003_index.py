"""The index of the chain (`ledger.index.tables`).

It can be made again from the chain at any time: a later revision may drop these tables and create them
anew instead of changing them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "chain_accesses",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("consumer", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.BigInteger(), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_chain_accesses")),
    )
    op.create_index(
        "ix_chain_accesses_basis",
        "chain_accesses",
        ["basis", "sequence"],
        unique=False,
        sqlite_where=sa.text("basis > 0"),
        postgresql_where=sa.text("basis > 0"),
    )
    op.create_index(
        "ix_chain_accesses_consumer",
        "chain_accesses",
        ["consumer", "sequence"],
        unique=False,
        sqlite_where=sa.text("consumer > 0"),
        postgresql_where=sa.text("consumer > 0"),
    )
    op.create_index(
        "ix_chain_accesses_dataset",
        "chain_accesses",
        ["dataset", "sequence"],
        unique=False,
        sqlite_where=sa.text("dataset > 0"),
        postgresql_where=sa.text("dataset > 0"),
    )
    op.create_index(
        "ix_chain_accesses_subject",
        "chain_accesses",
        ["subject", "sequence"],
        unique=False,
        sqlite_where=sa.text("subject > 0"),
        postgresql_where=sa.text("subject > 0"),
    )
    op.create_table(
        "chain_agreements",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("application", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consumer", sa.BigInteger(), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("suspended_until", sa.BigInteger(), nullable=False),
        sa.Column("suspension_unseen", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_chain_agreements")),
        sa.UniqueConstraint("id", name=op.f("uq_chain_agreements_id")),
    )
    op.create_index(
        op.f("ix_chain_agreements_consumer"), "chain_agreements", ["consumer"], unique=False
    )
    op.create_index(
        op.f("ix_chain_agreements_dataset"), "chain_agreements", ["dataset"], unique=False
    )
    op.create_table(
        "chain_applications",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consumer", sa.BigInteger(), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("justification", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_applications")),
    )
    op.create_index(
        op.f("ix_chain_applications_consumer"), "chain_applications", ["consumer"], unique=False
    )
    op.create_index(
        op.f("ix_chain_applications_dataset"), "chain_applications", ["dataset"], unique=False
    )
    op.create_table(
        "chain_authorizations",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("consumer", sa.BigInteger(), nullable=False),
        sa.Column("consumer_name", sa.String(), nullable=False),
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("case_reference", sa.LargeBinary(length=32), nullable=False),
        sa.Column("statement_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("max_uses", sa.BigInteger(), nullable=False),
        sa.Column("min_interval", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=32), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("agreement", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("signer_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("revoked_in", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_authorizations")),
    )
    op.create_index(
        op.f("ix_chain_authorizations_case_reference"),
        "chain_authorizations",
        ["case_reference"],
        unique=False,
    )
    op.create_index(
        op.f("ix_chain_authorizations_consumer"), "chain_authorizations", ["consumer"], unique=False
    )
    op.create_index(
        op.f("ix_chain_authorizations_subject"), "chain_authorizations", ["subject"], unique=False
    )
    op.create_table(
        "chain_bases",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=13), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_bases")),
        sa.UniqueConstraint("id", name=op.f("uq_chain_bases_id")),
    )
    op.create_table(
        "chain_datasets",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("provider", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("fields", sa.String(), nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("sharing", sa.SmallInteger(), nullable=False),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.Column("grade", sa.SmallInteger(), nullable=False),
        sa.Column("update_cycle", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_datasets")),
        sa.UniqueConstraint("id", name=op.f("uq_chain_datasets_id")),
    )
    op.create_table(
        "chain_erasures",
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "item", name=op.f("pk_chain_erasures")),
    )
    op.create_table(
        "chain_event_counts",
        sa.Column("contract", sa.LargeBinary(length=20), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contract", name=op.f("pk_chain_event_counts")),
    )
    op.create_table(
        "chain_faults",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_faults")),
    )
    op.create_table(
        "chain_events",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("party", sa.BigInteger(), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.BigInteger(), nullable=False),
        sa.Column("unfit", sa.Boolean(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_events")),
    )
    op.create_index(
        "ix_chain_events_basis",
        "chain_events",
        ["basis", "key"],
        unique=False,
        sqlite_where=sa.text("basis > 0"),
        postgresql_where=sa.text("basis > 0"),
    )
    op.create_index(
        "ix_chain_events_dataset",
        "chain_events",
        ["dataset", "key"],
        unique=False,
        sqlite_where=sa.text("dataset > 0"),
        postgresql_where=sa.text("dataset > 0"),
    )
    op.create_index(
        "ix_chain_events_party",
        "chain_events",
        ["party", "key"],
        unique=False,
        sqlite_where=sa.text("party > 0"),
        postgresql_where=sa.text("party > 0"),
    )
    op.create_index(
        "ix_chain_events_subject",
        "chain_events",
        ["subject", "key"],
        unique=False,
        sqlite_where=sa.text("subject > 0"),
        postgresql_where=sa.text("subject > 0"),
    )
    op.create_index(
        "ix_chain_events_unfit",
        "chain_events",
        ["key"],
        unique=False,
        sqlite_where=sa.text("unfit"),
        postgresql_where=sa.text("unfit"),
    )
    op.create_table(
        "chain_guardians",
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("guardian", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "guardian", name=op.f("pk_chain_guardians")),
    )
    op.create_index(
        op.f("ix_chain_guardians_guardian"), "chain_guardians", ["guardian"], unique=False
    )
    op.create_table(
        "chain_orders",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sharing", sa.SmallInteger(), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("countersigned", sa.Boolean(), nullable=False),
        sa.Column("reviewed", sa.Boolean(), nullable=False),
        sa.Column("findings", sa.String(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_orders")),
    )
    op.create_index(op.f("ix_chain_orders_dataset"), "chain_orders", ["dataset"], unique=False)
    op.create_table(
        "chain_parties",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("roles", sa.SmallInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("restricted_until", sa.BigInteger(), nullable=False),
        sa.Column("restriction", sa.String(), nullable=False),
        sa.Column("appeal", sa.String(), nullable=False),
        sa.Column("encryption_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_parties")),
        sa.UniqueConstraint("address", name=op.f("uq_chain_parties_address")),
    )
    op.create_table(
        "chain_progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("genesis", sa.LargeBinary(length=32), nullable=False),
        sa.Column("access_log", sa.LargeBinary(length=20), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("faults", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_progress")),
    )
    op.create_table(
        "chain_publications",
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "version", name=op.f("pk_chain_publications")),
    )
    op.create_table(
        "chain_purpose_fields",
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("dataset", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "dataset", name=op.f("pk_chain_purpose_fields")),
    )
    op.create_table(
        "chain_purposes",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("texts", sa.String(), nullable=False),
        sa.Column("max_validity", sa.BigInteger(), nullable=False),
        sa.Column("max_uses", sa.BigInteger(), nullable=False),
        sa.Column("min_interval", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_purposes")),
    )
    op.create_table(
        "chain_named",
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_chain_named")),
    )
    op.create_table(
        "chain_recorders",
        sa.Column("consumer", sa.BigInteger(), nullable=False),
        sa.Column("recorder", sa.LargeBinary(length=20), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "recorder", name=op.f("pk_chain_recorders")),
    )
    op.create_table(
        "chain_successors",
        sa.Column("authority", sa.LargeBinary(length=20), nullable=False),
        sa.Column("successor", sa.LargeBinary(length=20), nullable=False),
        sa.PrimaryKeyConstraint("authority", name=op.f("pk_chain_successors")),
    )
    op.create_table(
        "chain_ended_links",
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("links_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_chain_ended_links")),
    )
    op.create_table(
        "chain_subjects",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("registrar", sa.LargeBinary(length=20), nullable=False),
        sa.Column("links_from", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("signer_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("liftable_at", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("recovery_at", sa.BigInteger(), nullable=False),
        sa.Column("pending_signer", sa.LargeBinary(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_chain_subjects")),
        sa.UniqueConstraint("id", name=op.f("uq_chain_subjects_id")),
    )
    op.create_index(
        op.f("ix_chain_subjects_signer_hash"), "chain_subjects", ["signer_hash"], unique=False
    )
    op.create_table(
        "chain_transactions",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_chain_transactions")),
    )
    op.create_index(
        op.f("ix_chain_transactions_hash"), "chain_transactions", ["hash"], unique=False
    )
    op.create_table(
        "chain_voids",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("basis", sa.BigInteger(), nullable=False),
        sa.Column("last_use", sa.BigInteger(), nullable=False),
        sa.Column("ground", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_chain_voids")),
    )
    op.create_index(op.f("ix_chain_voids_basis"), "chain_voids", ["basis"], unique=False)


def downgrade() -> None:
    op.drop_table("chain_voids")
    op.drop_table("chain_transactions")
    op.drop_table("chain_subjects")
    op.drop_table("chain_ended_links")
    op.drop_table("chain_successors")
    op.drop_table("chain_recorders")
    op.drop_table("chain_purposes")
    op.drop_table("chain_purpose_fields")
    op.drop_table("chain_publications")
    op.drop_table("chain_progress")
    op.drop_table("chain_parties")
    op.drop_table("chain_orders")
    op.drop_table("chain_named")
    op.drop_table("chain_guardians")
    op.drop_table("chain_faults")
    op.drop_table("chain_events")
    op.drop_table("chain_event_counts")
    op.drop_table("chain_erasures")
    op.drop_table("chain_datasets")
    op.drop_table("chain_bases")
    op.drop_table("chain_authorizations")
    op.drop_table("chain_applications")
    op.drop_table("chain_agreements")
    op.drop_table("chain_accesses")

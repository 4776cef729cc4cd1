"""What people and consumers do: asks, links, releases, alerts.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=True),
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=True),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("agreement", sa.LargeBinary(length=32), nullable=True),
        sa.Column("suspended_until", sa.BigInteger(), nullable=True),
        sa.Column("transaction", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("key", name=op.f("uq_alerts_key")),
    )
    op.create_index(op.f("ix_alerts_consumer"), "alerts", ["consumer"], unique=False)
    op.create_table(
        "keyholder_reports",
        sa.Column("keyholder", sa.LargeBinary(length=20), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("access", sa.LargeBinary(length=32), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("keyholder", "consumer", name=op.f("pk_keyholder_reports")),
    )
    op.create_table(
        "asks",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("reference", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("authorization", sa.LargeBinary(length=32), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'granted', 'refused')", name=op.f("ck_asks_state")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_asks")),
        sa.UniqueConstraint("consumer", "reference", name=op.f("uq_asks_consumer_reference")),
        sa.UniqueConstraint("id", name=op.f("uq_asks_id")),
    )
    op.create_index(op.f("ix_asks_authorization"), "asks", ["authorization"], unique=False)
    op.create_index("ix_asks_subject", "asks", ["subject", "key"], unique=False)
    op.create_table(
        "authorizations",
        sa.Column("authorization", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("transaction", sa.LargeBinary(length=32), nullable=True),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("authorization", name=op.f("pk_authorizations")),
    )
    op.create_index(op.f("ix_authorizations_subject"), "authorizations", ["subject"], unique=False)
    op.create_table(
        "handles",
        sa.Column("handle_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("handle_hash", name=op.f("pk_handles")),
    )
    op.create_index(op.f("ix_handles_expires_at"), "handles", ["expires_at"], unique=False)
    op.create_table(
        "releases",
        sa.Column("access", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request", sa.LargeBinary(length=213), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.LargeBinary(length=64), nullable=False),
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=True),
        sa.Column("publication", sa.BigInteger(), nullable=True),
        sa.Column("records", sa.LargeBinary(), nullable=True),
        sa.Column("holders", sa.LargeBinary(), nullable=True),
        sa.Column("answer_key", sa.LargeBinary(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("access", name=op.f("pk_releases")),
    )
    op.create_index("ix_releases_sequence", "releases", ["sequence"], unique=False)
    op.create_table(
        "subject_links",
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=False),
        sa.Column("owner", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "dataset", name=op.f("pk_subject_links")),
    )
    op.create_index(
        op.f("ix_subject_links_expires_at"), "subject_links", ["expires_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_subject_links_expires_at"), table_name="subject_links")
    op.drop_table("subject_links")
    op.drop_index("ix_releases_sequence", table_name="releases")
    op.drop_table("releases")
    op.drop_index(op.f("ix_handles_expires_at"), table_name="handles")
    op.drop_table("handles")
    op.drop_index(op.f("ix_authorizations_subject"), table_name="authorizations")
    op.drop_table("authorizations")
    op.drop_index("ix_asks_subject", table_name="asks")
    op.drop_index(op.f("ix_asks_authorization"), table_name="asks")
    op.drop_table("asks")
    op.drop_index(op.f("ix_alerts_consumer"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_table("keyholder_reports")

"""The gateway's own data: nonces, sessions, uploads, records, publications.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BLOBS = {
    "records": "body",
    "tiles": "entries",
    "upload_lines": "entries",
    "directories": "lines",
}


def upgrade() -> None:
    op.create_table(
        "challenge_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_challenge_keys")),
    )
    op.create_table(
        "erasures",
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=False),
        sa.Column("place", sa.LargeBinary(length=40), nullable=False),
        sa.Column("transaction", sa.LargeBinary(length=32), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "place", name=op.f("pk_erasures")),
    )
    op.create_table(
        "health",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health")),
    )
    op.create_table(
        "records",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
    )
    op.create_table(
        "request_nonces",
        sa.Column("address", sa.LargeBinary(length=20), nullable=False),
        sa.Column("nonce", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", "nonce", name=op.f("pk_request_nonces")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_request_nonces_expires_at"), "request_nonces", ["expires_at"], unique=False
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_table(
        "uploads",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=False),
        sa.Column("provider", sa.LargeBinary(length=20), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("last_place", sa.LargeBinary(length=40), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'sealing', 'sealed', 'served', 'deleted')",
            name=op.f("ck_uploads_state"),
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_uploads")),
        sa.UniqueConstraint("id", name=op.f("uq_uploads_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_uploads_dataset"), "uploads", ["dataset"], unique=False)
    op.create_table(
        "used_challenges",
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_used_challenges")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_used_challenges_expires_at"), "used_challenges", ["expires_at"], unique=False
    )
    op.create_table(
        "directories",
        sa.Column("upload", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.key"], name=op.f("fk_directories_upload")),
        sa.PrimaryKeyConstraint("upload", "part", name=op.f("pk_directories")),
    )
    op.create_table(
        "items",
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.Column("upload", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.LargeBinary(length=40), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.key"], name=op.f("fk_items_upload")),
        sa.PrimaryKeyConstraint("item", "upload", name=op.f("pk_items")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_items_upload"), "items", ["upload"], unique=False)
    op.create_table(
        "publications",
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("upload", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("served_from_block", sa.BigInteger(), nullable=False),
        sa.Column("served_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.key"], name=op.f("fk_publications_upload")),
        sa.PrimaryKeyConstraint("dataset", "version", name=op.f("pk_publications")),
        sa.UniqueConstraint("upload", name=op.f("uq_publications_upload")),
    )
    op.create_index(
        "ix_publications_served", "publications", ["dataset", "served_from_block"], unique=False
    )
    op.create_table(
        "tiles",
        sa.Column("upload", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.key"], name=op.f("fk_tiles_upload")),
        sa.PrimaryKeyConstraint("upload", "position", name=op.f("pk_tiles")),
    )
    op.create_table(
        "upload_lines",
        sa.Column("upload", sa.BigInteger(), nullable=False),
        sa.Column("first_line", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.key"], name=op.f("fk_upload_lines_upload")),
        sa.PrimaryKeyConstraint("upload", "first_line", name=op.f("pk_upload_lines")),
    )
    op.bulk_insert(
        sa.table("health", sa.column("id", sa.Integer), sa.column("checks", sa.BigInteger)),
        [{"id": 1, "checks": 0}],
    )
    if op.get_bind().dialect.name == "postgresql":
        # Ciphertext and hashes do not get smaller: no time is spent on trying.
        for table, column in _BLOBS.items():
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("upload_lines")
    op.drop_table("tiles")
    op.drop_index("ix_publications_served", table_name="publications")
    op.drop_table("publications")
    op.drop_index(op.f("ix_items_upload"), table_name="items")
    op.drop_table("items")
    op.drop_table("directories")
    op.drop_index(op.f("ix_used_challenges_expires_at"), table_name="used_challenges")
    op.drop_table("used_challenges")
    op.drop_index(op.f("ix_uploads_dataset"), table_name="uploads")
    op.drop_table("uploads")
    op.drop_index(op.f("ix_sessions_expires_at"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_request_nonces_expires_at"), table_name="request_nonces")
    op.drop_table("request_nonces")
    op.drop_table("records")
    op.drop_table("health")
    op.drop_table("erasures")
    op.drop_table("challenge_keys")

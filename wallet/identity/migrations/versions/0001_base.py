"""People, codes, enrolments, subjects, look-ups, recoveries, transactions.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "owner_lists",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.LargeBinary(length=20), nullable=False),
        sa.Column("dataset", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owner_lists")),
    )
    op.create_table(
        "people",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("number", sa.String(length=18), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("representative", sa.String(length=18), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("kind", "number", name=op.f("uq_people_kind_number")),
    )
    op.create_table(
        "transactions",
        sa.Column("nonce", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_transactions")),
    )
    op.create_table(
        "watched",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_watched")),
    )
    op.create_table(
        "codes",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("officer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("identification", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("enrolment", sa.String(length=43), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_codes_person")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_codes")),
    )
    op.create_index(op.f("ix_codes_person"), "codes", ["person"], unique=False)
    op.create_table(
        "enrolments",
        sa.Column("id", sa.String(length=43), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_enrolments_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
    )
    op.create_table(
        "lookups",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", _ID, nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("purpose", sa.LargeBinary(length=32), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_lookups_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lookups")),
    )
    op.create_index("lookups_of_a_person", "lookups", ["person", "id"], unique=False)
    op.create_table(
        "recoveries",
        sa.Column("id", sa.String(length=43), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("officer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("identification", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_recoveries_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recoveries")),
    )
    op.create_table(
        "subjects",
        sa.Column("place", _ID, nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("enrolment", sa.String(length=43), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("signer_since", sa.BigInteger(), nullable=False),
        sa.Column("keep_for", sa.String(length=8), nullable=False),
        sa.Column("consumer", sa.LargeBinary(length=20), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["enrolment"], ["enrolments.id"], name=op.f("fk_subjects_enrolment")
        ),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_subjects_person")),
        sa.ForeignKeyConstraint(
            ["transaction"], ["transactions.nonce"], name=op.f("fk_subjects_transaction")
        ),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_subjects")),
        sa.UniqueConstraint("subject", name=op.f("uq_subjects_subject")),
    )
    op.create_index(op.f("ix_subjects_enrolment"), "subjects", ["enrolment"], unique=False)
    op.create_index(op.f("ix_subjects_person"), "subjects", ["person"], unique=False)
    op.create_index(op.f("ix_subjects_signer"), "subjects", ["signer"], unique=False)
    op.create_index(op.f("ix_subjects_state"), "subjects", ["state"], unique=False)
    op.create_index(op.f("ix_subjects_transaction"), "subjects", ["transaction"], unique=False)
    op.create_table(
        "counter_acts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("officer", sa.LargeBinary(length=20), nullable=False),
        sa.Column("identification", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_counter_acts_person")),
        sa.ForeignKeyConstraint(
            ["subject"], ["subjects.subject"], name=op.f("fk_counter_acts_subject")
        ),
        sa.ForeignKeyConstraint(
            ["transaction"], ["transactions.nonce"], name=op.f("fk_counter_acts_transaction")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_acts")),
    )
    op.create_index(op.f("ix_counter_acts_subject"), "counter_acts", ["subject"], unique=False)
    op.create_table(
        "recovered",
        sa.Column("id", _ID, nullable=False),
        sa.Column("recovery", sa.String(length=43), nullable=False),
        sa.Column("subject", sa.LargeBinary(length=32), nullable=False),
        sa.Column("new_signer", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=True),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["recovery"], ["recoveries.id"], name=op.f("fk_recovered_recovery")
        ),
        sa.ForeignKeyConstraint(
            ["subject"], ["subjects.subject"], name=op.f("fk_recovered_subject")
        ),
        sa.ForeignKeyConstraint(
            ["transaction"], ["transactions.nonce"], name=op.f("fk_recovered_transaction")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovered")),
    )
    op.create_index(op.f("ix_recovered_new_signer"), "recovered", ["new_signer"], unique=False)
    op.create_index(op.f("ix_recovered_recovery"), "recovered", ["recovery"], unique=False)
    op.create_index(op.f("ix_recovered_state"), "recovered", ["state"], unique=False)
    op.create_index(op.f("ix_recovered_subject"), "recovered", ["subject"], unique=False)


def downgrade() -> None:
    op.drop_table("recovered")
    op.drop_index(op.f("ix_counter_acts_subject"), table_name="counter_acts")
    op.drop_table("counter_acts")
    op.drop_table("subjects")
    op.drop_table("recoveries")
    op.drop_table("lookups")
    op.drop_table("enrolments")
    op.drop_table("codes")
    op.drop_table("watched")
    op.drop_table("transactions")
    op.drop_table("people")
    op.drop_table("owner_lists")

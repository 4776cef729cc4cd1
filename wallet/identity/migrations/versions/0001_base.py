"""The first tables: made from the code (`wallet.identity.database`), never by this file.

Alembic wants a revision to count from. A later one says what it changes; a new database is made from the code
and is of the newest revision at once.
"""

revision = "0001"
down_revision = None


def upgrade() -> None:
    pass

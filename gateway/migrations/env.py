"""How Alembic runs the migrations: always within the transaction that `gateway.store.database` began.

To write one: `alembic` is not needed on the command line; copy the last file in `versions/`, count on, and say what
changes for a database that is there already. A new one is made from the tables.
"""

from alembic import context

import gateway.store.tables  # noqa: F401  its tables belong to the metadata
from gateway.store.tables import metadata
from ledger.index.tables import metadata as index_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[metadata, index_metadata],
    transactional_ddl=True,
)
context.run_migrations()

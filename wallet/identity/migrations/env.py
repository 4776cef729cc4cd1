"""How Alembic runs the migrations: within the transaction that `wallet.identity.database` began.

To write one, copy the last file in `versions/`, count on, and say what changes for a database that is there already.
"""

from alembic import context

from wallet.identity.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()

"""How Alembic runs the migrations: within the transaction that `wallet.identity.database` began.

To write a new one, copy the last file in `versions/` and count on; a test says what is missing.
"""

from alembic import context

from wallet.identity.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()

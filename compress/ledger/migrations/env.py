"""Alembic's entry: migrates over the connection that it is given, inside that connection's transaction."""

from alembic import context

from compress.ledger.tables import metadata

# SQLite too undoes a half-made schema: Alembic would not ask it to.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()

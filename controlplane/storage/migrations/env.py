"""What Alembic runs around the revisions: they use the connection, and so the transaction, of `storage.schema`."""

from alembic import context

from controlplane.storage.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

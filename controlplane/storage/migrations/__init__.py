"""Alembic revisions; `controlplane.storage.schema` runs them."""

"""How far the deletion of old rows has come."""

from sqlalchemy import BigInteger, Column, Table, Text

from controlplane.storage.metadata import metadata
from controlplane.storage.types import Instant

#: One row per rule; the whole installation's.
retention_standings = Table(
    "retention_standings",
    metadata,
    Column("rule", Text, primary_key=True),
    # Rows that went, ever.
    Column("deleted", BigInteger, nullable=False),
    # Of the rows that the rule is about; NULL: there were none when it was last looked.
    Column("oldest_at", Instant),
    # Organisations up to this one are done in this pass; empty: a new one begins.
    Column("done_to", Text, nullable=False),
    # When the last pass ended; NULL: none has.
    Column("passed_at", Instant),
)

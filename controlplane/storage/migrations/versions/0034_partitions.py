"""On PostgreSQL, what grows with devices and time becomes hash partitions by organisation; SQLite keeps them whole.

Nothing else changes: names, columns, keys, indexes, triggers and references stay as they were, rows are moved. Their
order and meaning are the same; a query that names its organisation reads one partition.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic import context, op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TABLES = ("audit", "commands", "detections", "entitlements", "incident_devices")


@dataclass(frozen=True, slots=True)
class _Definition:
    """Something of a table that is made again."""

    table: str
    name: str
    text: str


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    divide(context.config.attributes["partitions"])


def divide(partitions: int) -> None:
    """Divide each table into so many; 0: they stay whole."""
    for table in TABLES if partitions else ():
        _partition(table, partitions)


def _partition(table: str, partitions: int) -> None:
    constraints = _asked(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = CAST(:table AS regclass) AND contype IN ('p', 'u', 'f', 'c') AND conparentid = 0 "
        "ORDER BY contype = 'f', conname",
        table,
    )
    references = _asked(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE confrelid = CAST(:table AS regclass) AND contype = 'f' AND conparentid = 0",
        table,
    )
    indexes = _asked(
        "SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid = CAST(:table AS regclass) "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
        table,
    )
    triggers = _asked(
        "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE tgrelid = CAST(:table AS regclass) AND NOT tgisinternal",
        table,
    )
    for reference in references:
        op.execute(f'ALTER TABLE {reference.table} DROP CONSTRAINT "{reference.name}"')
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_whole")
    op.execute(f"CREATE TABLE {table} (LIKE {table}_whole INCLUDING DEFAULTS) PARTITION BY HASH (org_id)")
    for number in range(partitions):
        op.execute(
            f"CREATE TABLE {table}_p{number:02} PARTITION OF {table} "
            f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number})"
        )
    op.execute(f"INSERT INTO {table} SELECT * FROM {table}_whole")  # noqa: S608 -- names of ours
    # Names of indexes are free again after this.
    op.execute(f"DROP TABLE {table}_whole")
    for constraint in (*constraints, *references):
        op.execute(f'ALTER TABLE {constraint.table} ADD CONSTRAINT "{constraint.name}" {constraint.text}')
    for made in (*indexes, *triggers):
        op.execute(made.text)
    op.execute(f"ANALYZE {table}")


def _asked(query: str, table: str) -> Sequence[_Definition]:
    return [_Definition(*row) for row in op.get_bind().execute(sa.text(query), {"table": table})]

"""Brings a database to the newest schema, and says which one it has.

The revisions run inside one transaction on both databases: an interrupted upgrade leaves the old schema, whole.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from controlplane.storage.database import Database

#: Few enough that the questions of sweeps, which name no organisation, stay cheap.
PARTITIONS: Final = 16
_MIGRATIONS = Path(__file__).with_name("migrations")


def newest_revision() -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package carries its migrations"
    return head


async def current_revision(database: Database) -> str | None:
    """The revision a database has; None: it was never set up."""
    async with database.reading() as connection:
        return await connection.run_sync(_read_revision)


async def upgrade(database: Database, partitions: int = PARTITIONS) -> tuple[str | None, str]:
    """Run every revision that is missing.

    Args:
        database: Which.
        partitions: Into how many a large table is divided, on PostgreSQL, when it is; 0: it stays whole.

    Returns:
        The revision before and the one after; equal when there was nothing to do.
    """
    async with database.transaction() as uow:
        before = await uow.connection.run_sync(_read_revision)
        await uow.connection.run_sync(_run_revisions, partitions)
    return before, newest_revision()


def _config(connection: Connection | None = None, partitions: int = PARTITIONS) -> Config:
    config = Config(attributes={} if connection is None else {"connection": connection, "partitions": partitions})
    # Alembic reads its options with interpolation: a `%` in the path of an installation must be doubled.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _read_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run_revisions(connection: Connection, partitions: int) -> None:
    command.upgrade(_config(connection, partitions), "head")

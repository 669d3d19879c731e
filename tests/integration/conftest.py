"""The same database tests on both databases: `database` is a migrated one without a row."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from controlplane.storage.database import Database
from tests.fakes.migrated import migrated_sqlite, sqlite_url
from tests.integration.patient_database import patient_databases
from tests.integration.postgres_server import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole run; each test makes its own database in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
async def database_url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of each kind."""
    if kind == "sqlite":
        yield sqlite_url(tmp_path / "server.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new_database()
    yield server.url(name)
    await server.drop_database(name)


@pytest.fixture
async def server_database(request: pytest.FixtureRequest, kind: str) -> AsyncIterator[str | None]:
    """For an installation that is yet to be made: None, SQLite in its folder; or migrated, which would take seconds."""
    if kind == "sqlite":
        yield None
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    async with server.borrowed() as url:
        yield url


@pytest.fixture
async def database(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database without a row; it, and what else the test opens, waits as long as a busy machine takes."""
    async with AsyncExitStack() as until_closed:
        until_closed.enter_context(patient_databases())
        if kind == "sqlite":
            url = await migrated_sqlite(tmp_path / "server.db")
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            url = await until_closed.enter_async_context(server.borrowed())
        opened = Database(url)
        until_closed.push_async_callback(opened.close)
        yield opened

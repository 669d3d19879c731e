"""A database that goes away in the middle of things."""

import pytest
from sqlalchemy import text

from controlplane.storage.database import Database
from controlplane.storage.outages import DatabaseUnavailableError
from tests.integration.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


_END = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()")


async def test_what_was_under_way_is_told_as_an_outage_and_the_next_attempt_works(postgres: PostgresServer) -> None:
    name = await postgres.new_database()
    database, killer = Database(postgres.url(name)), Database(postgres.url("postgres"))

    async def change(answered: list[int]) -> None:
        async with database.transaction() as uow:
            answered.append((await uow.connection.execute(text("SELECT 1"))).scalar_one())
            async with killer.reading() as connection:
                await connection.execute(_END, {"name": name})

    async def look(answered: list[int]) -> None:
        # The line is found dead when the connection is given back: the last statement was answered.
        async with database.reading() as reading:
            answered.append((await reading.execute(text("SELECT 1"))).scalar_one())
            async with killer.reading() as connection:
                await connection.execute(_END, {"name": name})

    for attempt in (change, look):
        answered: list[int] = []
        with pytest.raises(DatabaseUnavailableError):
            await attempt(answered)
        assert answered == [1]
    async with database.transaction() as uow:
        assert (await uow.connection.execute(text("SELECT 1"))).scalar_one() == 1
    for each in (database, killer):
        await each.close()
    await postgres.drop_database(name)

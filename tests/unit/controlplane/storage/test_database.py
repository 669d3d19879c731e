import asyncio
from pathlib import Path

from sqlalchemy import text

from controlplane.storage.database import Database


async def test_writers_of_one_process_follow_each_other_in_the_order_they_came(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    came: list[int] = []

    async def write(number: int) -> None:
        async with database.transaction() as uow:
            await uow.connection.execute(text("INSERT INTO arrivals VALUES (:number)"), {"number": number})
            came.append(number)

    async with database.transaction() as uow:
        await uow.connection.execute(text("CREATE TABLE arrivals (number INTEGER)"))
    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(write(number))
    assert came == list(range(40))
    await database.close()


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    async with database.transaction() as uow:
        await uow.connection.execute(text("CREATE TABLE arrivals (number INTEGER)"))
    async with database.transaction() as uow:
        await uow.connection.execute(text("INSERT INTO arrivals VALUES (1)"))
        async with database.reading() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM arrivals"))).scalar_one() == 0
    await database.close()

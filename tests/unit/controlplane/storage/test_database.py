import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.storage.database import Database
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.waiting import until


class _LongStatement:
    """A statement that takes until it is told that it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    async def run(self, connection: AsyncConnection) -> None:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.create_function("long_work", 0, self._work)
        await connection.execute(text("SELECT long_work()"))

    def _work(self) -> int:
        self.begun.set()
        return int(self.may_end.wait(30))


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


async def test_a_call_that_is_cancelled_in_the_middle_of_a_statement_keeps_nobody_from_writing(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    async with database.transaction() as uow:
        await uow.connection.execute(text("CREATE TABLE one (id INTEGER)"))
    statement = _LongStatement()

    async def write_and_look() -> None:
        async with database.transaction() as uow:
            await uow.connection.execute(text("INSERT INTO one VALUES (1)"))
            await statement.run(uow.connection)

    async with asyncio.TaskGroup() as calls:
        call = calls.create_task(write_and_look())
        await until(statement.begun.is_set)
        call.cancel()
        # It is over for the call before it is for the database.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        statement.may_end.set()
    # The task is kept, and with it whatever its failure refers to.
    assert call.cancelled()
    async with database.transaction() as uow:
        await uow.connection.execute(text("INSERT INTO one VALUES (2)"))
        assert list((await uow.connection.execute(text("SELECT id FROM one"))).scalars()) == [2]
    await database.close()


async def test_what_people_ask_for_goes_before_bulk_that_came_earlier(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    done: list[str] = []

    async def write(name: str, *, bulk: bool) -> None:
        async with database.transaction(bulk=bulk):
            done.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(write(f"report {number}", bulk=True))
        await asyncio.sleep(0)
        group.create_task(write("command", bulk=False))
    assert done == ["report 0", "command", "report 1", "report 2", "report 3", "report 4"]
    await database.close()


async def test_bulk_that_would_have_to_wait_too_long_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.storage.database.POOL_TIMEOUT_S", 0.01)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    async with database.transaction(bulk=True):
        with pytest.raises(DatabaseUnavailableError, match="too many bulk"):
            async with database.transaction(bulk=True):
                raise AssertionError("there was a place")
    async with database.transaction(bulk=True) as uow:
        assert (await uow.connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()

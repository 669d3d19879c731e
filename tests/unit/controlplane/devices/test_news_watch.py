"""News reach every server: by the bus, and what that loses by the database."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from controlplane.devices.check_ins.recall import RecallBook
from controlplane.devices.news_watch import BELIEVED_S, NewsWatch
from controlplane.runtime.bus.port import Hint
from controlplane.storage.database import Database
from controlplane.storage.news import EVERYONE, News
from tests.fakes.migrated import migrated_sqlite
from tests.unit.controlplane.devices.check_ins.test_recall import TOLD


class Server:
    """A server's memory, with a device of two organisations each in it."""

    def __init__(self, database: Database) -> None:
        self.book = RecallBook()
        self.seconds = 0.0
        self.watch = NewsWatch(database=database, book=self.book, now=lambda: self.seconds)
        self.told: list[Hint] = []
        self.watch.listen(self.told.append)

    async def begin(self) -> None:
        await self.watch.look()
        for org_id in "ab":
            for device_id in "12":
                self.book.keep(org_id, device_id, TOLD)

    def believed(self) -> bool:
        return self.watch.is_current

    @property
    def remembered(self) -> str:
        return " ".join(f"{o}{d}" for o in "ab" for d in "12" if self.book.find(o, d) is not None)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(await migrated_sqlite(tmp_path / "news.db"))
    yield opened
    await opened.close()


async def _news(database: Database, org_id: str, device_id: str = EVERYONE) -> None:
    async with database.transaction() as uow:
        uow.news_for(org_id, device_id)


async def test_what_the_bus_loses_is_found_in_the_database_once(database: Database) -> None:
    await _news(database, "a", "2")
    server = Server(database)
    await server.begin()
    assert server.remembered == "a1 a2 b1 b2"
    await _news(database, "a", "1")
    await server.watch.look()
    assert server.remembered == "a2 b1 b2"
    await _news(database, "a", "1")
    await _news(database, "b")
    await server.watch.look()
    await server.watch.look()
    assert server.remembered == "a2"
    assert sorted(server.told, key=repr) == [Hint("a", "1"), Hint("a", "1"), Hint("b", EVERYONE)]


async def test_what_the_bus_told_is_not_told_again(database: Database) -> None:
    server = Server(database)
    await server.begin()
    await _news(database, "a", "1")
    server.watch.heard(Hint("a", "1"))
    assert server.remembered == "a2 b1 b2"
    await server.watch.look()
    assert server.told == []


async def test_news_of_a_transaction_that_fails_are_none(database: Database) -> None:
    server, heard = Server(database), list[object]()
    await server.begin()
    database.listen(heard.append)
    with suppress(ZeroDivisionError):
        async with database.transaction() as uow:
            uow.news_for("a")
            raise ZeroDivisionError
    await server.watch.look()
    assert (heard, server.remembered) == ([], "a1 a2 b1 b2")
    async with database.transaction() as uow:
        uow.news_for("a", "1", hint=False)
        uow.news_for("a", "2", hint=False)
        uow.news_for("a", "2")
        uow.news_for("a", "2", hint=False)
    assert heard == [{News("a", "1"): False, News("a", "2"): True}]


async def test_memory_is_believed_only_while_the_database_is_looked_at(database: Database) -> None:
    server = Server(database)
    assert not server.believed()
    await server.begin()
    assert server.believed()
    server.seconds += BELIEVED_S + 1
    assert not server.believed()
    await server.watch.look()
    assert server.believed()
    assert server.remembered == "a1 a2 b1 b2"
    # Asleep for longer than looks overlap: who knows what was missed.
    server.seconds += 100
    await server.watch.look()
    assert server.remembered == ""

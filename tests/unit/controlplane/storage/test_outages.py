"""Which failures of a database pass by themselves."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from asyncpg.exceptions import (
    AdminShutdownError,
    CannotConnectNowError,
    DeadlockDetectedError,
    LockNotAvailableError,
    ReadOnlySQLTransactionError,
    UniqueViolationError,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from controlplane.runtime.refusal import Kind
from controlplane.runtime.rpc_errors import refusal_of
from controlplane.storage.database import Database
from controlplane.storage.outages import DatabaseUnavailableError, is_outage, worth_a_traceback


def wrapped(orig: BaseException, *, lost: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", None, orig, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (CannotConnectNowError("the database system is starting up"), True),
        (wrapped(AdminShutdownError("terminating connection")), True),
        (wrapped(DeadlockDetectedError("deadlock detected")), True),
        (wrapped(ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction")), True),
        (wrapped(LockNotAvailableError("canceling statement due to lock timeout")), True),
        (wrapped(OSError("gone"), lost=True), True),
        (wrapped(sqlite3.OperationalError("database is locked")), True),
        (NoConnectionFreeError("QueuePool limit"), True),
        (wrapped(UniqueViolationError("duplicate key")), False),
        (wrapped(sqlite3.OperationalError("no such table: x")), False),
        (KeyError("sqlstate"), False),
        (ConnectionResetError("of something else than the database"), False),
    ],
)
def test_what_passes_by_itself(error: Exception, *, passes: bool) -> None:
    assert is_outage(error) is passes


def test_only_mistakes_are_logged_with_where_they_happened() -> None:
    mistake = KeyError("x")
    assert worth_a_traceback(mistake) is mistake
    assert worth_a_traceback(DatabaseUnavailableError("ConnectionRefusedError")) is None


async def test_a_database_that_nobody_answers_at_is_away(tmp_path: Path) -> None:
    database = Database(f"postgresql+asyncpg://nobody@/none?host={tmp_path}")
    for attempt in (database.reading(), database.transaction()):
        with pytest.raises(DatabaseUnavailableError):
            await attempt.__aenter__()
    await database.close()


async def test_a_mistake_of_ours_stays_one(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'server.db'}")
    async with database.transaction() as uow:
        await uow.connection.execute(text("CREATE TABLE one (id INTEGER PRIMARY KEY)"))
        await uow.connection.execute(text("INSERT INTO one VALUES (1)"))
    with pytest.raises(IntegrityError):
        async with database.transaction() as uow:
            await uow.connection.execute(text("INSERT INTO one VALUES (1)"))
    with pytest.raises(FileNotFoundError):
        async with database.reading():
            await asyncio.to_thread((tmp_path / "missing").read_bytes)
    await database.close()


def test_callers_are_told_when_to_come_back_and_nothing_else() -> None:
    refusal = refusal_of(DatabaseUnavailableError("ConnectionRefusedError"))
    assert refusal is not None
    assert (refusal.kind, refusal.reason) == (Kind.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert refusal.retry_after_s > 0
    assert "ConnectionRefusedError" not in str(refusal)
    assert refusal_of(KeyError("x")) is None

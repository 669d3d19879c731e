"""Looking into the agent's database without changing it, whoever else works on it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import Transaction
from agent.storage.commands import SqliteCommands
from agent.storage.database import SqliteTransaction
from agent.storage.failures import damaged, newer, told_to_people
from agent.storage.journal import SqliteJournal
from agent.storage.migrations import MIGRATIONS, schema_version
from agent.storage.outbox import SqliteOutbox
from agent.storage.records import SqliteEnrolment, SqliteExclusions, SqliteSettings

#: How long to wait for another process, in seconds; short, because somebody is looking on.
_BUSY_S = 3.0


class InspectedStore:
    """Port `agent.domain.ports.Store`, for reading: whatever is written fails and is forgotten."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One state of the database, until the block ends.

        Raises:
            BucklerError: `DATABASE_…`.
        """
        connection = self._connection
        with told_to_people(self._path):
            connection.execute("BEGIN")
            try:
                yield SqliteTransaction(
                    journal=SqliteJournal(connection),
                    outbox=SqliteOutbox(connection, 0),
                    exclusions=SqliteExclusions(connection),
                    enrolment=SqliteEnrolment(connection),
                    settings=SqliteSettings(connection),
                    commands=SqliteCommands(connection),
                )
            finally:
                connection.execute("ROLLBACK")


@contextmanager
def inspected(path: Path) -> Iterator[InspectedStore]:
    """Open an existing database for reading.

    Raises:
        BucklerError: `DATABASE_NEWER`, `DATABASE_OLDER` or another `DATABASE_…`.
    """
    with told_to_people(path):
        connection = _connect(path)
        try:
            version = schema_version(connection)
            if version > len(MIGRATIONS):
                raise newer(path, version, len(MIGRATIONS))
            if version < len(MIGRATIONS):
                raise _older(path)
            yield InspectedStore(connection, path)
        finally:
            connection.close()


def judge(path: Path) -> str:
    """One sentence about a whole database; empty: there is none.

    Raises:
        BucklerError: `DATABASE_DAMAGED`, `DATABASE_NEWER` or another `DATABASE_…`.
    """
    if not path.exists():
        return ""
    with told_to_people(path):
        connection = _connect(path)
        try:
            version = schema_version(connection)
            if version > len(MIGRATIONS):
                raise newer(path, version, len(MIGRATIONS))
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise damaged(path, verdict)
        finally:
            connection.close()
    return f"SQLite finds no fault in {path.name}, schema {version}"


#: What is counted, by name.
_COUNTS = {
    "outbox_pending": "SELECT count(*) FROM outbox WHERE set_aside_because IS NULL",
    "outbox_set_aside": "SELECT count(*) FROM outbox WHERE set_aside_because IS NOT NULL",
    "oldest_detection": "SELECT min(detected_at) FROM outbox WHERE set_aside_because IS NULL",
    "outbox_dropped": "SELECT coalesce(sum(rows), 0) FROM outbox_dropped",
    "settings": "SELECT count(*) FROM setting",
    "exclusions": "SELECT count(*) FROM exclusion",
}
_MOST_COMPLAINTS = 10


def inspect_database(path: Path) -> dict[str, int | str | list[str] | dict[str, int] | None]:
    """Size, schema, damage and counts, for support.

    Raises:
        FileNotFoundError: There is none.
        BucklerError: `DATABASE_…`.
    """
    size = path.stat().st_size
    with told_to_people(path):
        connection = _connect(path)
        try:
            check = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_MOST_COMPLAINTS})")]
            states = dict(connection.execute("SELECT state, count(*) FROM quarantine GROUP BY 1").fetchall())
            counts = {name: connection.execute(question).fetchone()[0] for name, question in _COUNTS.items()}
            return {
                "size": size,
                "schema": schema_version(connection),
                "schema_known": len(MIGRATIONS),
                "damage": [] if check == ["ok"] else check,
                "quarantine": states,
                **counts,
            }
        finally:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    """Without a file beside it, if nobody works on it; with a journal that a crash left, SQLite needs its index."""
    journal = path.with_name(path.name + "-wal")
    quiet = not journal.exists() or not journal.stat().st_size
    options = "mode=ro&immutable=1" if quiet else "mode=ro"
    connection = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, timeout=_BUSY_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _older(path: Path) -> BucklerError:
    return BucklerError(
        "DATABASE_OLDER",
        f"{path} was written by an earlier version of Buckler",
        next_step="start the agent once: it takes the database along by itself",
        exit_status=ExitStatus.ENVIRONMENT,
        facts={"path": str(path)},
    )

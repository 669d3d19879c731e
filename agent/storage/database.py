"""The agent's database: opening it, and transactions.

One file, opened by the service and by commands of `buckler` at the same time, in different processes. SQLite in WAL
mode with `synchronous=FULL`: a block of `transaction()` that has been left survives a loss of power. Transactions
take the write lock at their beginning (`BEGIN IMMEDIATE`), so they follow one another, inside a process and between
processes, and none fails half-way because another one was quicker.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.domain.ports import (
    CommandRecord,
    EnrolmentRecord,
    Exclusions,
    Outbox,
    QuarantineJournal,
    Settings,
    Transaction,
)
from agent.storage.commands import SqliteCommands
from agent.storage.failures import damaged, newer, not_permitted, told_to_people
from agent.storage.journal import SqliteJournal
from agent.storage.migrations import MIGRATIONS, migrate, schema_version
from agent.storage.outbox import OUTBOX_BOUND, SqliteOutbox
from agent.storage.records import SqliteEnrolment, SqliteExclusions, SqliteSettings

#: How long a transaction waits for another process to finish its own, in seconds; theirs take milliseconds.
BUSY_TIMEOUT_S = 10.0
#: Switching to WAL mode does not wait for others by itself; it is tried this often, this far apart.
_WAL_ATTEMPTS = 50
_WAL_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class SqliteTransaction:
    """All tables, inside one transaction; port `agent.domain.ports.Transaction`."""

    journal: QuarantineJournal
    outbox: Outbox
    exclusions: Exclusions
    enrolment: EnrolmentRecord
    settings: Settings
    commands: CommandRecord


class AgentDatabase:
    """Port `agent.domain.ports.Store`. Made by `open_database`, which migrates first.

    Args:
        path: The file, which has the current schema.
        outbox_bound: Rows the outbox keeps at most.
        busy_timeout_s: How long a transaction waits for another process.
    """

    def __init__(self, path: Path, *, outbox_bound: int = OUTBOX_BOUND, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._holder: int | None = None
        with told_to_people(path):
            self._connection = _connect(path, busy_timeout_s)
        self._tables = SqliteTransaction(
            journal=SqliteJournal(self._connection),
            outbox=SqliteOutbox(self._connection, outbox_bound),
            exclusions=SqliteExclusions(self._connection),
            enrolment=SqliteEnrolment(self._connection),
            settings=SqliteSettings(self._connection),
            commands=SqliteCommands(self._connection),
        )

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begin; commit at the end of the block, roll back if it raises. Durable when the block has been left.

        May be used from any thread; transactions follow one another. They do not nest.

        Raises:
            RuntimeError: This thread is inside a transaction already.
            BucklerError: `DATABASE_BUSY`, `DATABASE_FULL`, `DATABASE_DAMAGED`, `DATABASE_NOT_PERMITTED`,
                `DATABASE_UNUSABLE`; nothing of the block has been kept.
        """
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction is open in this thread; transactions do not nest")
        with self._lock, told_to_people(self._path):
            self._holder = threading.get_ident()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._tables
                self._connection.execute("COMMIT")
            finally:
                # An interrupted COMMIT (disk full, say) may or may not have ended the transaction by itself.
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                self._holder = None

    def close(self) -> None:
        """Close the file; waits for a transaction that is under way."""
        with self._lock:
            self._connection.close()


def open_database(
    path: Path, *, outbox_bound: int = OUTBOX_BOUND, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> AgentDatabase:
    """Create or migrate the database and open it.

    Args:
        path: Its file; made readable to its owner only, its folder too if it has to be created.
        outbox_bound: Rows the outbox keeps at most.
        busy_timeout_s: How long to wait for another process.

    Raises:
        BucklerError: `DATABASE_NEWER`, `DATABASE_DAMAGED`, `DATABASE_NOT_PERMITTED`, `DATABASE_BUSY`,
            `DATABASE_FULL`, `DATABASE_UNUSABLE`; an existing file has not been changed then.
    """
    try:
        _make_private(path)
    except OSError as error:
        raise not_permitted(path) from error
    with told_to_people(path):
        connection = _connect(path, busy_timeout_s)
        try:
            version = schema_version(connection)
            if version > len(MIGRATIONS):
                raise newer(path, version, len(MIGRATIONS))
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise damaged(path, verdict)
            _switch_to_wal(connection)
            migrate(connection)
        finally:
            connection.close()
    return AgentDatabase(path, outbox_bound=outbox_bound, busy_timeout_s=busy_timeout_s)


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the permissions of the database itself.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    # By name: closing a descriptor of an existing database would drop the locks this process holds on it (POSIX).
    path.chmod(0o600)


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if attempt + 1 == _WAL_ATTEMPTS:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return

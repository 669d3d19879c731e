"""What SQLite reports, in words and next steps for people."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus

#: Primary result codes of SQLite (https://www.sqlite.org/rescode.html).
_PRIMARY_MASK = 0xFF
#: Memory that its users share, and the head of its log.
_BESIDE_BYTES = 64 * 1024


@contextmanager
def told_to_people(path: Path) -> Iterator[None]:
    """Turn an error of SQLite inside the block into a `BucklerError`.

    A broken constraint passes as it is: it is a mistake in this program and has to be seen as one.

    Args:
        path: The database, for the message.

    Raises:
        BucklerError: `DATABASE_DAMAGED`, `DATABASE_BUSY`, `DATABASE_FULL`, `DATABASE_NOT_PERMITTED`,
            `DATABASE_UNUSABLE`.
    """
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        raise explain(error, path) from error


def explain(error: sqlite3.DatabaseError, path: Path) -> BucklerError:
    """One sentence, a code and a next step for an error of SQLite."""
    primary = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_MASK
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path, str(error))
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return _error("DATABASE_BUSY", f"another program keeps {path} locked", "try again in a moment", path)
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path)):
        return _error("DATABASE_FULL", f"the disk that holds {path} is full", "free some space on it", path)
    if primary in {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH}:
        return not_permitted(path)
    return _error("DATABASE_UNUSABLE", f"{path} cannot be used: {error}", "look at the disk's health", path)


def _is_full(path: Path) -> bool:
    """Whether there is no room for what SQLite keeps beside a database; that it cannot be made is nobody's defect."""
    try:
        return shutil.disk_usage(path.parent).free < _BESIDE_BYTES
    except OSError:
        return False


def damaged(path: Path, reason: str) -> BucklerError:
    """The file is not a database any more, or one with holes."""
    return _error(
        "DATABASE_DAMAGED",
        f"{path} is damaged: {reason}",
        "stop the agent and run `buckler doctor --fix`: it keeps what can be read, and the vault stays as it is",
        path,
    )


def newer(path: Path, found: int, known: int) -> BucklerError:
    """A later version of Buckler wrote it."""
    return _error(
        "DATABASE_NEWER",
        f"{path} was written by a later version of Buckler (schema {found}, this one knows {known})",
        "install that version again, or a later one; nothing has been changed",
        path,
    )


def not_permitted(path: Path) -> BucklerError:
    """Another user's, or a read-only disk."""
    return _error(
        "DATABASE_NOT_PERMITTED",
        f"{path} cannot be opened for writing",
        "run the command as the user the agent runs as, or choose another folder with --data-dir",
        path,
    )


def _error(code: str, message: str, next_step: str, path: Path) -> BucklerError:
    return BucklerError(
        code, message, next_step=next_step, exit_status=ExitStatus.ENVIRONMENT, facts={"path": str(path)}
    )

"""A damaged database becomes a whole one: what can still be read is kept, the damaged file is put aside."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from agent.storage.database import open_database
from agent.storage.failures import told_to_people

#: What belongs to a database in WAL mode.
_ENDINGS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of it.

    Attributes:
        kept: Rows by table.
        torn: Tables of which not everything could be read.
        aside: The damaged file, for support.
    """

    kept: dict[str, int]
    torn: tuple[str, ...]
    aside: Path


def rebuild(path: Path, now: datetime) -> Rebuilt:
    """Make a new database from what can be read of a damaged one. Nobody else may work on it meanwhile.

    Raises:
        BucklerError: `DATABASE_…`: the new one cannot be written; the damaged one is where it was then.
    """
    fresh = path.with_name(f".{path.name}.rebuilt")
    _remove(fresh)
    open_database(fresh).close()
    with told_to_people(fresh), closing(sqlite3.connect(fresh, isolation_level=None)) as target:
        kept, torn = _copy(path, target)
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    owner = path.stat()
    for ending in _ENDINGS:
        with suppress(FileNotFoundError):
            _beside(path, ending).rename(_beside(aside, ending))
    with suppress(PermissionError):
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.rename(path)
    _remove(fresh)
    return Rebuilt(kept, torn, aside)


def _copy(damaged: Path, target: sqlite3.Connection) -> tuple[dict[str, int], tuple[str, ...]]:
    tables = [
        str(row[0])
        for row in target.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ]
    kept: dict[str, int] = {}
    torn: list[str] = []
    with closing(sqlite3.connect(f"file:{quote(str(damaged))}?mode=ro", uri=True)) as source:
        target.execute("PRAGMA foreign_keys = OFF")
        target.execute("BEGIN IMMEDIATE")
        for table in tables:
            kept[table], whole = _copy_table(source, target, table)
            if not whole:
                torn.append(table)
        target.execute("COMMIT")
    return kept, tuple(torn)


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """From the front, and where that ends too early from the back; rows that fit nowhere are left out."""
    known = [str(row[1]) for row in target.execute(f'PRAGMA table_info("{table}")')]
    whole = True
    for direction in ("ASC", "DESC"):
        rows = _rows(source, table, known, direction)
        try:
            for columns, values in rows:
                names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
                insert = f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608 -- our own schema
                with suppress(sqlite3.IntegrityError):
                    target.execute(insert, values)
        except sqlite3.DatabaseError:
            whole = False
        else:
            break
    count = target.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608 -- our own schema
    return int(count), whole


def _rows(
    source: sqlite3.Connection, table: str, known: list[str], direction: str
) -> Iterator[tuple[list[str], list[object]]]:
    cursor = source.execute(f'SELECT * FROM "{table}" ORDER BY rowid {direction}')  # noqa: S608 -- our own schema
    there = [str(column[0]) for column in cursor.description]
    wanted = [(index, name) for index, name in enumerate(there) if name in known]
    for row in cursor:
        yield [name for _, name in wanted], [row[index] for index, _ in wanted]


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _remove(path: Path) -> None:
    for ending in _ENDINGS:
        _beside(path, ending).unlink(missing_ok=True)

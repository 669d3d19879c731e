"""A look into the database."""

import sqlite3
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.storage.database import open_database
from agent.storage.inspection import inspect_database


def test_a_whole_database_is_told_as_such_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    open_database(path).close()
    before = path.read_bytes()
    found = inspect_database(path)
    assert (found["damage"], found["quarantine"], found["outbox_pending"]) == ([], {}, 0)
    assert found["schema"] == found["schema_known"]
    assert path.read_bytes() == before


def test_a_damaged_one_is_no_failure_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(BucklerError) as refusal:
        inspect_database(path)
    assert refusal.value.code.startswith("DATABASE_")
    with pytest.raises(FileNotFoundError):
        inspect_database(tmp_path / "none.db")


def test_counts_are_those_of_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    open_database(path).close()
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO setting VALUES ('a', 'b')")
        database.execute("INSERT INTO outbox_dropped VALUES ('bulk', 3)")
    database.close()
    found = inspect_database(path)
    assert (found["settings"], found["outbox_dropped"]) == (1, 3)

"""Steps of the schema."""

import sqlite3
from pathlib import Path

import pytest

from agent.storage.migrations import MIGRATIONS, migrate, schema_version


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_an_empty_database_takes_every_step_once(tmp_path: Path) -> None:
    connection = connect(tmp_path / "agent.db")
    migrate(connection)
    migrate(connection)
    assert schema_version(connection) == len(MIGRATIONS)
    connection.close()


def test_a_step_that_fails_leaves_the_database_at_the_step_before(tmp_path: Path) -> None:
    connection = connect(tmp_path / "agent.db")
    steps = [("CREATE TABLE first (a)",), ("CREATE TABLE second (a)", "not SQL")]
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, steps)
    assert schema_version(connection) == 1
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    assert tables == ["first"]
    migrate(connection, [steps[0], ("CREATE TABLE second (a)",)])
    assert schema_version(connection) == 2
    connection.close()


def test_a_later_version_takes_only_the_steps_that_are_missing(tmp_path: Path) -> None:
    connection = connect(tmp_path / "agent.db")
    migrate(connection)
    connection.execute("INSERT INTO setting (name, value) VALUES ('mode', 'notify')")
    migrate(connection, [*MIGRATIONS, ("ALTER TABLE setting ADD COLUMN since TEXT",)])
    assert connection.execute("SELECT name, value, since FROM setting").fetchall() == [("mode", "notify", None)]
    connection.close()

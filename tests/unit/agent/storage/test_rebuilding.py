import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from agent.domain.errors import BucklerError
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.storage.database import open_database
from agent.storage.inspection import inspected, judge
from agent.storage.rebuilding import rebuild
from tests.fakes.clock import SOME_MONDAY

INCIDENT = Incident(
    UUID(int=0), SOME_MONDAY, "/x\udcff", "cd" * 32, 68, (), IncidentAction.REPORTED, "", Origin.SCAN, "yara", "7"
)
#: Enough for several pages.
ROWS = 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agent.db"
    with closing(open_database(path)) as database, database.transaction() as tables:
        tables.settings.put("a", "1")
        for number in range(ROWS):
            tables.outbox.add(replace(INCIDENT, uuid=UUID(int=number)))
    return path


def overwrite(path: Path, table: str, offset: int) -> None:
    """A page of a table, counted from its first."""
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    page = root if not offset else pages - offset
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_whole_database_is_judged_without_a_byte_changed(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert judge(path).startswith("SQLite finds no fault")
    with inspected(path) as store, store.transaction() as tables:
        assert tables.settings.get("a") == "1"
        with pytest.raises(sqlite3.OperationalError):
            tables.settings.put("a", "2")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    assert judge(path.with_name("none.db")) == ""


def test_what_another_process_writes_meanwhile_is_seen(path: Path) -> None:
    with closing(open_database(path)) as database:
        with database.transaction() as tables:
            tables.settings.put("a", "2")
        with inspected(path) as store, store.transaction() as tables:
            assert tables.settings.get("a") == "2"
        assert judge(path)


def test_other_schemas_are_told(path: Path) -> None:
    for version, code in ((99, "DATABASE_NEWER"), (1, "DATABASE_OLDER")):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(BucklerError) as refused, inspected(path):
            pass
        assert refused.value.code == code


def test_a_torn_table_costs_its_rows_and_no_others(path: Path) -> None:
    overwrite(path, "outbox", 0)
    with pytest.raises(BucklerError) as refused:
        judge(path)
    assert refused.value.code == "DATABASE_DAMAGED"
    made = rebuild(path, SOME_MONDAY)
    assert made.torn == ("outbox",)
    assert made.kept["setting"] == 1
    assert made.aside.name == "agent.db.damaged-20260302T090000Z"
    assert judge(path)
    assert not [file for file in path.parent.iterdir() if file.name.startswith(".")]
    assert not path.with_name("agent.db-wal").exists()
    assert path.stat().st_mode & 0o777 == 0o600


def test_rows_on_both_sides_of_a_torn_page_are_kept(path: Path) -> None:
    overwrite(path, "outbox", 3)
    made = rebuild(path, SOME_MONDAY)
    assert made.torn == ("outbox",)
    assert 0 < made.kept["outbox"] < ROWS
    assert count(path, "outbox") == made.kept["outbox"]


def test_of_something_that_is_no_database_nothing_is_kept(path: Path) -> None:
    path.write_bytes(b"no database" * 500)
    made = rebuild(path, SOME_MONDAY)
    assert set(made.kept.values()) == {0}
    assert made.aside.read_bytes().startswith(b"no database")
    assert judge(path)

"""Opening the database, and what is said when that fails."""

import shutil
import sqlite3
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.domain.errors import BucklerError, ExitStatus
from agent.storage.database import AgentDatabase, open_database
from agent.storage.failures import explain
from agent.storage.migrations import MIGRATIONS


def error_of_opening(path: Path) -> BucklerError:
    with pytest.raises(BucklerError) as caught:
        open_database(path)
    assert caught.value.next_step
    assert caught.value.exit_status is ExitStatus.ENVIRONMENT
    assert caught.value.facts == {"path": str(path)}
    return caught.value


def note(database: AgentDatabase, name: str) -> None:
    with database.transaction() as tables:
        tables.settings.put(name, "yes")


def test_folder_and_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "agent.db"
    database = open_database(path)
    note(database, "here")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3
    database.close()


def test_a_database_that_others_could_read_is_made_private_again(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    open_database(path).close()
    path.chmod(0o644)
    open_database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_commit_reaches_the_disk_before_the_block_is_left(tmp_path: Path) -> None:
    database = open_database(tmp_path / "agent.db")
    pragmas = {
        name: database._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    database.close()


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    open_database(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    assert error_of_opening(path).code == "DATABASE_NEWER"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_told_apart_from_a_missing_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(content)
    assert error_of_opening(path).code == "DATABASE_DAMAGED"
    assert path.read_bytes() == content


def test_a_database_with_a_hole_in_it_is_found_out_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    database = open_database(path)
    for number in range(200):
        note(database, f"{number:0200d}")
    database.close()
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xa5" * 4096 * 4)
    assert error_of_opening(path).code == "DATABASE_DAMAGED"


def test_a_folder_in_place_of_the_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "agent.db").mkdir()
    assert error_of_opening(tmp_path / "agent.db").code == "DATABASE_NOT_PERMITTED"


def test_a_file_in_place_of_the_data_folder_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    assert error_of_opening(tmp_path / "data" / "agent.db").code == "DATABASE_NOT_PERMITTED"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_CORRUPT, "DATABASE_DAMAGED"),
        (sqlite3.SQLITE_CORRUPT_VTAB, "DATABASE_DAMAGED"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "DATABASE_BUSY"),
        (sqlite3.SQLITE_FULL, "DATABASE_FULL"),
        (sqlite3.SQLITE_READONLY, "DATABASE_NOT_PERMITTED"),
        (sqlite3.SQLITE_IOERR_WRITE, "DATABASE_UNUSABLE"),
        (None, "DATABASE_UNUSABLE"),
    ],
)
def test_each_kind_of_failure_has_its_code(tmp_path: Path, number: int | None, code: str) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    if number is not None:
        error.sqlite_errorcode = number
    assert explain(error, tmp_path).code == code


@pytest.mark.parametrize(("free", "code"), [(0, "DATABASE_FULL"), (1 << 30, "DATABASE_UNUSABLE")])
def test_a_disk_without_room_for_shared_memory_is_full_and_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, code: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    assert explain(error, tmp_path / "agent.db").code == code


def test_a_disk_that_is_full_costs_the_block_and_nothing_else(tmp_path: Path) -> None:
    database = open_database(tmp_path / "agent.db")
    note(database, "before")
    database._connection.execute("PRAGMA max_page_count = 30")
    with pytest.raises(BucklerError) as caught:
        note(database, "x" * 1_000_000)
    assert caught.value.code == "DATABASE_FULL"
    with database.transaction() as tables:
        assert tables.settings.get("before") == "yes"
    database.close()


def test_an_error_of_the_caller_passes_as_it_is(tmp_path: Path) -> None:
    database = open_database(tmp_path / "agent.db")
    with pytest.raises(KeyError), database.transaction():
        raise KeyError("mine")
    note(database, "after")
    database.close()

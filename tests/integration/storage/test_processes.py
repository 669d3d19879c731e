"""The service and commands use one database at the same time, from different processes."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.storage.database import open_database
from tests.integration.storage.other_process import count_up

TIMES = 40


def other(path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.integration.storage.other_process", str(path), str(TIMES)])


def test_processes_that_all_make_the_database_at_once_lose_no_update(tmp_path: Path) -> None:
    path = tmp_path / "data" / "agent.db"
    others = [other(path) for _ in range(3)]
    count_up(path, TIMES)
    assert [process.wait(timeout=50) for process in others] == [0, 0, 0]
    database = open_database(path)
    with database.transaction() as tables:
        assert tables.settings.get("count") == str(4 * TIMES)
    database.close()


def test_a_process_that_keeps_the_lock_is_waited_for_and_then_told_about(tmp_path: Path) -> None:
    database = open_database(tmp_path / "agent.db", busy_timeout_s=0.1)
    holder = sqlite3.connect(tmp_path / "agent.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BucklerError) as caught, database.transaction():
        pass
    assert caught.value.code == "DATABASE_BUSY"
    holder.execute("COMMIT")
    with database.transaction() as tables:
        tables.settings.put("after", "yes")
    holder.close()
    database.close()


def test_opening_a_second_time_in_this_process_does_not_drop_the_locks_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    first = open_database(path)
    with first.transaction() as tables:
        tables.settings.put("count", "0")
        # Closing any descriptor of the file by hand would release this process's POSIX locks on it.
        open_database(path).close()
        late = other(path)
        with pytest.raises(subprocess.TimeoutExpired):
            late.wait(timeout=1.5)
    assert late.wait(timeout=50) == 0
    first.close()

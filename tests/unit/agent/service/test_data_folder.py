from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.platform.files.lock import AgentLock
from agent.service.data_folder import DataFolder
from agent.service.remains import Held


def folder_of(path: Path, files: int = 0) -> DataFolder:
    return DataFolder(path, path / "agent.lock", lambda: Held(files))


def fill(path: Path) -> None:
    (path / "vault/staging").mkdir(parents=True)
    (path / "vault/q_1.bkq").write_bytes(b"sealed")
    (path / "compiled-rules").mkdir()
    for name in ("agent.db", "agent.db-wal", "device.key", "scan-cache.db", "status.sock"):
        (path / name).write_bytes(b"x")


def test_everything_of_ours_goes_and_the_folder_with_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    fill(data)
    folder_of(data).destroy()
    assert not data.exists()


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "diary.txt").write_text("mine")
    folder_of(tmp_path).destroy()
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_link_goes_and_not_what_it_leads_to(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    (elsewhere / "photo").write_bytes(b"x")
    (data / "vault").symlink_to(elsewhere)
    folder_of(data).destroy()
    assert (elsewhere / "photo").exists()
    assert not data.exists()


def test_a_folder_somebody_works_on_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    with AgentLock(tmp_path / "agent.lock"), pytest.raises(BucklerError) as refused:
        folder_of(tmp_path).destroy()
    assert refused.value.code == "AGENT_RUNNING"
    assert (tmp_path / "vault/q_1.bkq").exists()


def test_a_folder_that_was_never_there_holds_nothing_and_is_destroyed_already(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "never", files=9)
    assert data.held() == Held()
    data.destroy()

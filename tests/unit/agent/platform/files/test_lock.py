import errno
import os
import sys
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.files.lock import AgentLock, holder_of


def test_a_second_agent_on_the_same_folder_refuses_and_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.lock"
    with AgentLock(path):
        with pytest.raises(BucklerError) as refused, AgentLock(path):
            pass
        assert (refused.value.code, refused.value.exit_status) == ("AGENT_RUNNING", ExitStatus.ENVIRONMENT)
        assert refused.value.facts["pid"] in refused.value.message
    with AgentLock(path):
        assert path.exists()


def test_who_holds_a_lock_is_known_without_touching_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.lock"
    assert holder_of(path) is None
    with AgentLock(path):
        assert holder_of(path) == (os.getpid() if sys.platform == "linux" else None)
    # Its content stays; what it says is not true any more.
    assert path.read_text().strip() == str(os.getpid())
    assert holder_of(path) is None


def test_a_full_disk_does_not_keep_an_agent_from_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _content: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "agent.lock"
    monkeypatch.setattr(os, "pwrite", full)
    with AgentLock(path), pytest.raises(BucklerError) as refused, AgentLock(path):
        pass
    assert refused.value.code == "AGENT_RUNNING"

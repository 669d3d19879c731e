import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.watch_register import watching

WATCH = """
import sys
from pathlib import Path
from agent.platform.watch_register import watching
with watching(Path(sys.argv[1]), sys.argv[2:], Path("/their/data")):
    print("ready", flush=True)
    input()
"""


def start(folder: Path, *roots: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WATCH, str(folder), *roots]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("root", ["/srv/data", "/srv/data/below", "/srv", "/"])
def test_a_folder_that_another_agent_watches_is_refused_naming_that_agent(tmp_path: Path, root: str) -> None:
    with start(tmp_path, "/elsewhere", "/srv/data") as other:
        with pytest.raises(BucklerError) as refused, watching(tmp_path, [root], Path("/our/data")):
            pass
        other.communicate("\n", timeout=60)
    assert (refused.value.code, refused.value.exit_status) == ("ROOT_WATCHED", ExitStatus.ENVIRONMENT)
    assert str(other.pid) in refused.value.message
    assert "/their/data" in refused.value.message


def test_neighbours_do_not_disturb_each_other(tmp_path: Path) -> None:
    with start(tmp_path, "/srv/data") as other:
        with watching(tmp_path, ["/srv/database", "/home/a\n\udcff"], Path("/our/data")):
            assert len(list(tmp_path.glob("*.watch"))) == 2
        other.communicate("\n", timeout=60)
    assert list(tmp_path.glob("*.watch")) == []


def test_what_a_killed_agent_left_is_swept(tmp_path: Path) -> None:
    with start(tmp_path, "/srv/data") as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait(timeout=60)
    assert len(list(tmp_path.glob("*.watch"))) == 1
    with watching(tmp_path, ["/srv/data"], Path("/our/data")):
        assert len(list(tmp_path.glob("*.watch"))) == 1


def test_a_register_that_cannot_be_used_does_not_cost_the_protection(tmp_path: Path) -> None:
    (tmp_path / "register").write_text("no folder")
    with watching(tmp_path / "register", ["/srv"], Path("/our/data")):
        assert (tmp_path / "register").read_text() == "no folder"

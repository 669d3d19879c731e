import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.platform.files import create_whole, replace_whole

#: Writes half of the file that it is told.
WRITER_THAT_IS_KILLED = """
import os, pathlib, signal, sys
import agent.platform.files

os.fsync = lambda _descriptor: signal.raise_signal(signal.SIGKILL)
agent.platform.files.create_whole(pathlib.Path(sys.argv[1]), b"half")
"""


def test_a_file_is_made_once_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert create_whole(path, b"first")
    assert not create_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_whose_writer_was_killed_is_deleted_by_the_next(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITER_THAT_IS_KILLED, str(tmp_path / "key")], check=False)
    (draft,) = tmp_path.iterdir()
    assert (killed.returncode, draft.name.startswith(".key.")) == (-signal.SIGKILL, True)
    others = {draft.name.replace("key", "key2"), ".key.old.new", draft.name.removeprefix(".")}
    for name in others:
        (tmp_path / name).write_bytes(b"no draft of it")
    replace_whole(tmp_path / "key", b"whole", 0o600)
    assert {each.name for each in tmp_path.iterdir()} == others | {"key"}


def test_a_draft_that_is_found_before_it_is_locked_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    found: list[Path] = []

    def too_late(descriptor: int, how: int) -> None:
        if not found:
            found.extend(tmp_path.iterdir())
            found[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr("fcntl.flock", too_late)
    replace_whole(tmp_path / "key", b"whole", 0o600)
    assert (tmp_path / "key").read_bytes() == b"whole"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    assert len(found) == 1


def test_a_draft_that_another_writer_holds_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, others = tmp_path / "unit", [b"theirs"]
    sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        sync(descriptor)
        while others:
            replace_whole(path, others.pop(), 0o600)

    monkeypatch.setattr("os.fsync", meanwhile)
    replace_whole(path, b"ours", 0o600)
    assert path.read_bytes() == b"ours"
    assert [each.name for each in tmp_path.iterdir()] == ["unit"]


def test_a_file_takes_the_place_of_another_with_its_own_mode(tmp_path: Path) -> None:
    path = tmp_path / "unit"
    for content in (b"first", b"second"):
        replace_whole(path, content, 0o644)
        assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_whole(path, b"new", 0o644)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]

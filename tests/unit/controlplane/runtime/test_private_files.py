import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.runtime.private_files import read_private, write_private, write_public
from controlplane.runtime.refusal import Refusal

#: Writes half of the file that it is told.
WRITER_THAT_IS_KILLED = """
import os, pathlib, signal, sys
import controlplane.runtime.private_files

os.fsync = lambda _descriptor: signal.raise_signal(signal.SIGKILL)
controlplane.runtime.private_files.write_private(pathlib.Path(sys.argv[1]), b"half")
"""


def test_a_secret_is_its_owners_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")
    write_private(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path) == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_somebody_who_replaces_the_same_file_at_the_same_moment_is_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, others = tmp_path / "key", [b"theirs"]
    sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        sync(descriptor)
        while others:
            write_private(path, others.pop())

    monkeypatch.setattr("os.fsync", meanwhile)
    write_private(path, b"ours")
    assert read_private(path) == b"ours"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_file_that_cannot_be_written_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        write_private(tmp_path / "key", b"secret")
    assert list(tmp_path.iterdir()) == []


def test_a_draft_whose_writer_was_killed_is_deleted_by_the_next(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITER_THAT_IS_KILLED, str(tmp_path / "key")], check=False)
    (draft,) = tmp_path.iterdir()
    assert (killed.returncode, draft.name.startswith(".key.")) == (-signal.SIGKILL, True)
    others = {draft.name.replace("key", "key2"), ".key.old.new", draft.name.removeprefix(".")}
    for name in others:
        (tmp_path / name).write_bytes(b"no draft of it")
    write_private(tmp_path / "key", b"whole")
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
    write_private(tmp_path / "key", b"whole")
    assert (tmp_path / "key").read_bytes() == b"whole"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    assert len(found) == 1


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    write_public(tmp_path / "key", b"secret")
    with pytest.raises(Refusal) as refused:
        read_private(tmp_path / "key")
    assert refused.value.reason == "KEY_FILE_EXPOSED"


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        read_private(tmp_path / "key")
    assert refused.value.reason == "KEY_FILE_MISSING"
    assert refused.value.facts == {"path": str(tmp_path / "key")}

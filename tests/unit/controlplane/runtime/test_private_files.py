import errno
import os
from pathlib import Path

import pytest

from controlplane.runtime.private_files import read_private, write_private, write_public
from controlplane.runtime.refusal import Refusal


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

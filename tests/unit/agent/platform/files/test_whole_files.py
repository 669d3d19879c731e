import os
import stat
import threading
from pathlib import Path

import pytest

from agent.platform.files.whole_files import create_whole, replace_whole


def test_a_file_is_made_once_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert create_whole(path, b"first")
    assert not create_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_crash_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".secret.{os.getpid()}-{threading.get_native_id()}").write_bytes(b"half")
    assert create_whole(tmp_path / "secret", b"whole")


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

import os
import stat
import threading
from pathlib import Path

from agent.platform.files import create_whole


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

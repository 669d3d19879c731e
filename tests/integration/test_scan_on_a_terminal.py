"""The progress bar, on a terminal of the test's own."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

BUCKLER = str(Path(sys.executable).parent / "buckler")
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Exit status, and everything that was shown, escapes aside."""
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen([BUCKLER, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as scan:
        os.close(theirs)
        shown = b""
        # A terminal that nobody writes to any more cannot be read from.
        with contextlib.suppress(OSError):
            while received := os.read(terminal, 65_536):
                shown += received
    os.close(terminal)
    return scan.returncode, _ESCAPES.sub(b"", shown).decode("utf-8", "replace")


def test_files_bytes_and_the_current_path_are_shown_and_the_summary_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(300):
        (folder / f"file-{number}").write_text("x" * 5_000)
    status, shown = on_a_terminal("scan", str(folder), "--no-cache", "--data-dir", str(tmp_path / "data"))
    assert status == 0
    assert re.search(r"\d+ files, \d MiB, 0 found", shown)
    assert "/file-" in shown
    assert "files : 300" in shown

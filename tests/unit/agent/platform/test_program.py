import os
import sys
from pathlib import Path

import pytest

from agent.platform import program

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="makes files of other users: root on POSIX"
)


def risk_of(path: Path) -> str:
    """Of the path and every folder above it, as for the program."""
    return next((risk for part in program._way_to(path) if (risk := program._risk_of(part))), "")


def test_what_only_root_can_change_is_no_risk(tmp_path: Path) -> None:
    tool = tmp_path / "buckler"
    tool.write_bytes(b"")
    tool.chmod(0o755)
    assert program._risk_of(tool) == ""
    assert program._risk_of(tmp_path) == ""


def test_a_file_of_somebody_else_is_a_risk(tmp_path: Path) -> None:
    tool = tmp_path / "buckler"
    tool.write_bytes(b"")
    os.chown(tool, 1000, 1000)
    assert risk_of(tool) == f"{tool} belongs to user 1000"


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_folder_above_that_others_may_write_to_is_a_risk(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    tool = folder / "buckler"
    tool.write_bytes(b"")
    folder.chmod(mode)
    assert risk_of(tool) == f"{folder} may be written to by others than root"
    folder.chmod(mode | 0o1000)
    assert risk_of(tool) == ""


def test_a_link_is_followed_to_what_would_run(tmp_path: Path) -> None:
    real = tmp_path / "theirs"
    real.write_bytes(b"")
    os.chown(real, 1000, 1000)
    link = tmp_path / "buckler"
    link.symlink_to(real)
    assert "belongs to user 1000" in risk_of(link)

import os
import pwd
from pathlib import Path

import pytest

from agent.platform.people import download_folders, home_folder, home_folders, temporary_folders


def test_downloads_are_found_in_every_language(tmp_path: Path) -> None:
    for name in ("Downloads", "Heruntergeladenes", ".config", "Musik"):
        (tmp_path / name).mkdir()
    (tmp_path / ".config/user-dirs.dirs").write_text(
        '# a comment\nXDG_DOWNLOAD_DIR="$HOME/Heruntergeladenes"\nXDG_MUSIC_DIR="$HOME/Musik"\n'
    )
    home = os.path.realpath(tmp_path)
    assert set(download_folders([home])) == {f"{home}/Downloads", f"{home}/Heruntergeladenes"}


def test_nobody_sends_the_scan_elsewhere(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config/user-dirs.dirs").write_text('XDG_DOWNLOAD_DIR="/"\nXDG_DESKTOP_DIR="$HOME/"\n')
    assert download_folders([str(tmp_path)]) == ()


def test_there_are_homes_and_temporary_folders() -> None:
    assert all(os.path.isdir(folder) for folder in (*home_folders(), *temporary_folders()))  # noqa: PTH112
    assert temporary_folders()
    assert "/" not in home_folders()


def test_a_home_that_is_closed_to_us_is_not_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path / "closed"))
    assert home_folder() == Path(pwd.getpwuid(os.geteuid()).pw_dir)

import os
from pathlib import Path

import pytest

from agent.realtime.walk import WalkReport, changed_files
from tests.fakes.file_times import instant_between


def found(top: Path, since_ns: int | None, *skipped: Path) -> set[str]:
    skip = {str(path) for path in skipped}
    walked = changed_files(str(top), since_ns, skip=skip.__contains__, report=WalkReport())
    return {str(Path(path).relative_to(top)) for path in walked}


@pytest.fixture
def aside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody walks."""
    return tmp_path_factory.mktemp("aside")


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_without_an_instant_everything_is_found(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b" / "c" / "d")
    assert found(tmp_path, None) == {"a", "b/c/d"}


def test_only_what_changed_since_is_found(tmp_path: Path, aside: Path) -> None:
    write(tmp_path / "old")
    write(tmp_path / "deep" / "old")
    since = instant_between(aside)
    write(tmp_path / "deep" / "new")
    (tmp_path / "old").write_bytes(b"changed")
    assert found(tmp_path, since) == {"deep/new", "old"}


def test_a_changed_folder_in_a_changed_folder_is_taken_whole_because_it_may_have_been_moved(
    tmp_path: Path, aside: Path
) -> None:
    write(tmp_path / "old")
    write(tmp_path / "deep" / "old")
    since = instant_between(aside)
    write(tmp_path / "deep" / "new")
    write(tmp_path / "new")
    assert found(tmp_path, since) == {"deep/old", "deep/new", "new"}


def test_a_back_dated_file_is_found(tmp_path: Path, aside: Path) -> None:
    write(tmp_path / "old")
    since = instant_between(aside)
    os.utime(write(tmp_path / "forged"), ns=(0, 0))
    assert found(tmp_path, since) == {"forged"}


def test_everything_in_a_folder_that_was_moved_in_is_found_however_old(tmp_path: Path, aside: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    write(outside / "album" / "deep" / "old")
    write(top / "here" / "old")
    since = instant_between(aside)
    (outside / "album").rename(top / "album")
    assert found(top, since) == {"album/deep/old"}


def test_a_moved_in_folder_is_found_below_folders_that_did_not_change(tmp_path: Path, aside: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (top / "a" / "b").mkdir(parents=True)
    write(outside / "album" / "old")
    since = instant_between(aside)
    (outside / "album").rename(top / "a" / "b" / "album")
    assert found(top, since) == {"a/b/album/old"}


def test_links_pipes_and_skipped_folders_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "vault" / "secret")
    write(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path, None, tmp_path / "vault") == {"a"}


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n")
    write(tmp_path / name)
    assert found(tmp_path, None) == {name}


def test_what_cannot_be_read_is_reported_and_what_is_gone_is_not(tmp_path: Path) -> None:
    report = WalkReport()
    report.note("/gone", FileNotFoundError(2, "gone"))
    report.note("/closed", PermissionError(13, "closed"))
    report.note("/damaged", OSError(5, "Input/output error"))
    assert (report.closed, report.closed_example) == (1, "/closed")
    assert report.broken == {"/damaged": "Input/output error"}
    assert list(changed_files(str(tmp_path / "missing"), None, skip=lambda _: False, report=report)) == []


def test_what_was_held_open_counts_however_old_and_by_whatever_name(tmp_path: Path, aside: Path) -> None:
    held = write(tmp_path / "deep" / "held").stat().st_ino
    write(tmp_path / "deep" / "old")
    (tmp_path / "other name").hardlink_to(tmp_path / "deep" / "held")
    since_ns, report = instant_between(aside), WalkReport()
    walked = changed_files(str(tmp_path), since_ns, held_open=frozenset({held}), skip=lambda _: False, report=report)
    assert {str(Path(path).relative_to(tmp_path)) for path in walked} == {"deep/held", "other name"}

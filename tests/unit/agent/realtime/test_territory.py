import os
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.realtime.territory import Territory, has_moved, printable, resolve_roots, root_problem


def test_what_lies_below_a_root_is_covered_and_the_root_itself_is_not() -> None:
    territory = Territory(["/home", "/srv/data"], ["/home/me/vault"])
    assert territory.covers("/home/a")
    assert territory.covers("/srv/data/deep/a")
    assert not territory.covers("/home")
    assert not territory.covers("/homely/a")
    assert not territory.covers("/home/me/vault/a")
    assert territory.covers("/home/me/vaulted/a")


def test_everything_is_below_the_root_of_all() -> None:
    assert Territory(["/"], []).covers("/etc/passwd")


def test_without_roots_nothing_is_covered() -> None:
    assert not Territory([], []).covers("/a")


def test_a_mount_is_reached_if_it_lies_in_a_root_or_is_one() -> None:
    territory = Territory(["/home"], ["/home/me/vault"])
    assert territory.reaches("/home")
    assert territory.reaches("/home/usb")
    assert not territory.reaches("/")
    assert not territory.reaches("/home/me/vault")


def test_roots_are_resolved_and_each_is_kept_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    roots = resolve_roots([str(tmp_path / "link"), str(tmp_path / "real")])
    assert [root.path for root in roots] == [str(tmp_path / "real")]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BucklerError) as refusal:
        resolve_roots([str(tmp_path), str(tmp_path / name)])
    assert refusal.value.code == "ROOT_UNREADABLE"
    assert refusal.value.facts["root"] == str(tmp_path / name)
    assert refusal.value.next_step


def test_a_root_that_was_replaced_has_moved(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    (root,) = resolve_roots([str(folder)])
    assert has_moved(root) == ""
    folder.rename(tmp_path / "old")
    assert has_moved(root) == "no such file or directory"
    folder.mkdir()
    assert has_moved(root) == "another folder or file system has taken its place"


def test_a_folder_without_fault_has_no_problem(tmp_path: Path) -> None:
    assert root_problem(str(tmp_path)) == ""


def test_names_are_shown_without_their_odd_bytes() -> None:
    assert printable(os.fsdecode(b"/a\xff")) == "/a\\xff"

from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.realtime.roots import has_moved, resolve_roots, root_problem


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

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.scanner.walk.tree import MAX_FOLDER_DEPTH, KnownFiles, OpenedFile, UnopenedFile, find_files, resolve_named


def nothing_excluded(_path: str) -> bool:
    return False


def found_below(root: Path, is_excluded: Callable[[str], bool] = nothing_excluded) -> dict[str, str]:
    """Path to content, or to the error."""
    found: dict[str, str] = {}
    for file in find_files(str(root), is_excluded):
        if isinstance(file, OpenedFile):
            found[file.path] = os.read(file.descriptor, 100).decode()
            os.close(file.descriptor)
        else:
            assert isinstance(file, UnopenedFile)
            found[file.path] = file.error
    return found


def test_files_at_every_depth_are_found_and_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "1").write_text("one")
    (tmp_path / "a" / "b" / "2").write_text("two")
    assert found_below(tmp_path) == {f"{tmp_path}/1": "one", f"{tmp_path}/a/b/2": "two"}


def test_a_walk_passes_over_links_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert found_below(tmp_path) == {f"{tmp_path}/real": "x"}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_an_error_when_it_was_named(tmp_path: Path, kind: str) -> None:
    named = tmp_path / "pipe" if kind == "pipe" else Path("/dev/null")
    if kind == "pipe":
        os.mkfifo(named)
    assert found_below(named) == {str(named): "not_a_regular_file"}


def test_a_link_that_took_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert list(find_files(str(tmp_path / "link"), nothing_excluded)) == [
        UnopenedFile(f"{tmp_path}/link", "not_a_regular_file")
    ]


def test_names_of_any_bytes_are_found(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\n"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    assert list(found_below(tmp_path)) == [os.fsdecode(raw)]


def test_excluded_places_are_left_alone_with_all_below(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("x")
    (tmp_path / "in").write_text("y")
    assert found_below(tmp_path, lambda path: path.startswith(f"{tmp_path}/out")) == {f"{tmp_path}/in": "y"}


def test_a_folder_nested_too_deep_is_an_error_not_a_crash(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(MAX_FOLDER_DEPTH + 5):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert list(found_below(tmp_path).values()) == ["too_deep"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert found_below(tmp_path) == {f"{tmp_path}/closed": "unreadable"}


def test_a_walk_that_is_given_up_leaves_no_descriptor_open(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    walk = find_files(str(tmp_path), nothing_excluded)
    first = next(walk)
    assert isinstance(first, OpenedFile)
    os.close(first.descriptor)
    del walk
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_named_link_is_followed_once_and_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert resolve_named("link") == str(tmp_path / "real")
    assert resolve_named("real") == str(tmp_path / "real")


def test_nothing_and_a_link_to_nothing_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    assert resolve_named(str(tmp_path / "gone")) is None
    assert resolve_named(str(tmp_path / "link")) is None


@dataclass
class FakeKnown:
    """Files of one folder that are known by their size; None: all of them."""

    digest: bytes
    size: int | None = None
    asked: int = 0
    was_walked: bool = False

    def recall(self, name: str, status: os.stat_result) -> bytes | None:
        assert "/" not in name
        assert not self.was_walked
        self.asked += 1
        return self.digest if self.size in {None, status.st_size} else None

    def all_asked(self) -> None:
        self.was_walked = True


def test_what_is_known_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("three")
    digest = b"\xab" * 32
    known = KnownFiles(str(tmp_path), (("a", 3, digest),))
    folders = {str(tmp_path): FakeKnown(digest, 3)}
    opened, told = find_files(str(tmp_path), None, folders.get)
    assert isinstance(opened, OpenedFile)
    os.close(opened.descriptor)
    assert (opened.path, told) == (f"{tmp_path}/b", known)
    assert folders[str(tmp_path)].was_walked
    folders = {str(tmp_path): FakeKnown(digest)}
    assert list(find_files(f"{tmp_path}/a", None, folders.get)) == [known]
    assert (folders[str(tmp_path)].asked, folders[str(tmp_path)].was_walked) == (1, False)


def test_a_folder_of_which_nothing_is_known_is_opened_and_one_that_is_left_is_not_called_walked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / str(number)).write_text("x")
    folders = {f"{tmp_path}/a": FakeKnown(b"x", size=9)}
    found = find_files(str(tmp_path), None, folders.get)
    for file in found:
        assert isinstance(file, OpenedFile)
        os.close(file.descriptor)
        if file.path.startswith(f"{tmp_path}/a/"):
            break
    found.close()  # type: ignore[attr-defined]  # a generator, which callers need not know
    assert (folders[f"{tmp_path}/a"].asked, folders[f"{tmp_path}/a"].was_walked) == (1, False)


def test_the_known_files_of_a_large_folder_are_told_in_parts_and_each_once(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).write_bytes(b"12")
    parts = list(find_files(str(tmp_path), None, lambda _folder: FakeKnown(b"x")))
    files = [file for part in parts if isinstance(part, KnownFiles) for file in part.files]
    assert len(parts) == 3
    assert {name for name, _, _ in files} == {str(number) for number in range(600)}
    assert sum(part.size_bytes for part in parts if isinstance(part, KnownFiles)) == 1200

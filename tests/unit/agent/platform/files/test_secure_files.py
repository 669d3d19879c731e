"""File operations for somebody who is being raced."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.platform.files.linkless import walk
from agent.platform.files.secure_files import (
    NotRegularFileError,
    PlaceOfFile,
    folders_on_mount,
    make_private_folder,
    mount_of,
    open_folder,
    open_private_folder,
    open_regular,
    opened_folder,
    place_of,
    read_xattrs,
    rename_without_overwriting,
    split_path,
    write_xattrs,
)

OpenFolder = Callable[[str], int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def walk_to_folder(path: str) -> int:
    return walk(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@pytest.fixture(params=[open_folder, walk_to_folder], ids=["best", "walking"])
def opener(request: pytest.FixtureRequest) -> OpenFolder:
    """The call of the newest kernels, and what takes its place elsewhere, keep the same promise."""
    chosen: OpenFolder = request.param
    return chosen


def test_a_folder_is_opened_by_its_real_path(root: Path, opener: OpenFolder) -> None:
    descriptor = opener(str(root))
    assert os.path.samestat(os.fstat(descriptor), root.stat())
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("tail", ["link", "link/inside", "link/inside/deeper"])
def test_a_link_anywhere_on_the_way_is_refused(root: Path, opener: OpenFolder, tail: str) -> None:
    (root / "real" / "inside" / "deeper").mkdir(parents=True)
    (root / "link").symlink_to("real")
    with pytest.raises(OSError, match=r".") as caught:
        opener(str(root / tail))
    assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}


@pytest.mark.parametrize(("name", "code"), [("missing", errno.ENOENT), ("file", errno.ENOTDIR)])
def test_what_is_no_folder_is_told_as_the_system_tells_it(root: Path, opener: OpenFolder, name: str, code: int) -> None:
    (root / "file").touch()
    with pytest.raises(OSError, match=r".") as caught:
        opener(str(root / name))
    assert caught.value.errno == code


@pytest.mark.parametrize("path", ["", "/", "relative", "/a/../b", "/a/./b", "/a/", "/.."])
def test_only_absolute_paths_in_their_normal_form_are_split(path: str) -> None:
    with pytest.raises(OSError, match="normal form"):
        split_path(path)


def test_a_path_is_split_into_folder_and_name() -> None:
    assert split_path("/a/b\n/c") == ("/a/b\n", "c")
    assert split_path("/a") == ("/", "a")


def test_a_regular_file_is_opened_for_reading(root: Path) -> None:
    (root / "file").write_bytes(b"content")
    with place_of(str(root / "file")) as place:
        descriptor = open_regular(place)
    assert os.pread(descriptor, 100, 0) == b"content"
    os.close(descriptor)


def test_anything_else_is_refused_without_waiting_for_it_or_waking_it(root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "link").symlink_to("/etc/passwd")
    for name in ("fifo", "folder", "link"):
        with place_of(str(root / name)) as place, pytest.raises(NotRegularFileError):
            open_regular(place)


def test_a_private_folder_is_private_and_made_once(root: Path) -> None:
    with opened_folder(str(root)) as parent:
        for _ in range(2):
            make_private_folder(parent, "ours")
            os.close(open_private_folder(parent, "ours"))
    assert stat.S_IMODE((root / "ours").stat().st_mode) == 0o700


def test_a_folder_that_others_may_enter_is_not_taken_for_ours(root: Path) -> None:
    (root / "open").mkdir(mode=0o755)
    (root / "link").symlink_to("open")
    with opened_folder(str(root)) as parent:
        with pytest.raises(PermissionError):
            open_private_folder(parent, "open")
        with pytest.raises(OSError, match=r"."):
            open_private_folder(parent, "link")


def test_renaming_never_overwrites(root: Path) -> None:
    (root / "one").write_bytes(b"one")
    (root / "two").write_bytes(b"two")
    with opened_folder(str(root)) as folder:
        with pytest.raises(FileExistsError):
            rename_without_overwriting(PlaceOfFile(folder, "one"), PlaceOfFile(folder, "two"))
        rename_without_overwriting(PlaceOfFile(folder, "one"), PlaceOfFile(folder, "three\n\udcff"))
    assert (root / "two").read_bytes() == b"two"
    assert (root / "three\n\udcff").read_bytes() == b"one"
    assert not (root / "one").exists()


def test_the_folders_on_a_mount_begin_where_it_begins(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    found = folders_on_mount(str(root / "a" / "b"))
    assert found[-3:] == [str(root), str(root / "a"), str(root / "a" / "b")]
    with opened_folder(found[0]) as first, opened_folder(found[-1]) as last:
        assert mount_of(first) == mount_of(last)


def test_proc_is_another_mount() -> None:
    assert folders_on_mount("/proc/sys")[0] == "/proc"


def test_extended_attributes_come_and_go_as_bytes(root: Path) -> None:
    (root / "from").touch()
    (root / "to").touch()
    os.setxattr(root / "from", b"user.\xff", b"\0value")
    source, target = os.open(root / "from", os.O_RDONLY), os.open(root / "to", os.O_RDWR)
    write_xattrs(target, read_xattrs(source))
    assert ("user.\udcff", b"\0value") in read_xattrs(target)
    os.close(source)
    os.close(target)

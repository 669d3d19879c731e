import os
import sys
from pathlib import Path

import pytest

from agent.platform.files.regular_files import current_path, is_named, open_regular
from tests.scratch_mounts import open_descriptors


def test_a_regular_file_is_opened_for_reading_with_its_identity(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    opened = open_regular(str(tmp_path / "a"))
    assert opened is not None
    assert os.pread(opened.descriptor, 10, 0) == b"hello"
    assert (opened.identity.size_bytes, opened.links) == (5, 1)
    assert not os.get_inheritable(opened.descriptor)
    os.close(opened.descriptor)


def test_links_pipes_folders_devices_and_nothing_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    before = open_descriptors()
    for name in ("link", "pipe", "", "missing", "a/below"):
        assert open_regular(str(tmp_path / name)) is None
    assert open_regular("/dev/null") is None
    assert open_descriptors() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse links in the last part only")
def test_a_folder_exchanged_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_bytes(b"x")
    (tmp_path / "home").symlink_to(tmp_path / "outside")
    assert open_regular(str(tmp_path.resolve() / "home" / "a")) is None


def test_a_name_in_an_open_folder_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    folder = os.open(tmp_path, os.O_PATH)
    opened = open_regular(b"a", directory=folder)
    assert opened is not None
    os.close(opened.descriptor)
    os.close(folder)


def test_reading_leaves_the_access_time_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    os.utime(tmp_path / "a", ns=(1, 2))
    opened = open_regular(str(tmp_path / "a"))
    assert opened is not None
    os.pread(opened.descriptor, 1, 0)
    os.close(opened.descriptor)
    assert (tmp_path / "a").stat().st_atime_ns == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells where an open file is")
def test_an_open_file_is_followed_through_renames_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a (deleted)"
    path.write_bytes(b"x")
    opened = open_regular(str(path))
    assert opened is not None
    assert current_path(opened.descriptor) == str(path)
    path.rename(tmp_path / "b")
    assert current_path(opened.descriptor) == str(tmp_path / "b")
    assert is_named(opened.descriptor, str(tmp_path / "b"))
    (tmp_path / "b").unlink()
    assert current_path(opened.descriptor) is None
    (tmp_path / "b").write_bytes(b"another")
    assert not is_named(opened.descriptor, str(tmp_path / "b"))
    os.close(opened.descriptor)

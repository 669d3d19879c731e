import sys

import pytest

from agent.platform.mountinfo import Mount, mount_of, mounts, parse_mountinfo, with_root

TEXT = (
    b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    b"23 22 0:5 / /proc rw - proc proc rw\n"
    b"24 22 8:2 / /home rw,noatime shared:2 master:3 - xfs /dev/sda2 rw\n"
    b"25 24 0:40 / /home/a\\040b\\134c rw - tmpfs tmpfs rw\n"
    b"nonsense\n"
)


def test_lines_are_read_with_their_escapes_and_nonsense_is_left_out() -> None:
    mounts = parse_mountinfo(TEXT)
    assert [mount.point for mount in mounts] == ["/", "/proc", "/home", "/home/a b\\c"]
    assert mounts[2] == Mount(24, "8:2", "/home", "xfs")


def test_kernel_interfaces_hold_no_files() -> None:
    assert [mount.holds_files for mount in parse_mountinfo(TEXT)] == [True, False, True, True]


def test_the_mount_of_a_path_is_the_deepest_above_it_and_the_youngest_of_equals() -> None:
    mounts = parse_mountinfo(TEXT)
    assert mount_of("/home/x", mounts) == mounts[2]
    assert mount_of("/homely", mounts) == mounts[0]
    over = Mount(30, "0:50", "/home", "tmpfs")
    assert mount_of("/home/x", (*mounts, over)) == over
    assert mount_of("/x", ()) is None


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are read on Linux")
def test_a_chroot_that_is_no_mount_point_lies_on_a_mount_all_the_same() -> None:
    inside = tuple(mount for mount in parse_mountinfo(TEXT) if mount.point != "/")
    completed = with_root(inside)
    assert completed[1:] == inside
    assert mount_of("/srv/x", completed) == completed[0]
    assert completed[0].holds_files
    assert completed[0].id in {mount.id for mount in mounts()}
    assert with_root(parse_mountinfo(TEXT)) == parse_mountinfo(TEXT)

import os
import sys

import pytest

from agent.platform.anonymous_file import anonymous_file


def test_it_holds_what_was_written() -> None:
    descriptor = anonymous_file("test", lambda file: file.write(b"rules") and None)
    assert os.pread(descriptor, 100, 0) == b"rules"
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux seals files")
def test_nobody_who_inherits_it_can_change_it() -> None:
    descriptor = anonymous_file("test", lambda file: file.write(b"rules") and None)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_a_writer_that_fails_leaves_nothing_open() -> None:
    before = set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()

    def fail(_file: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        anonymous_file("test", fail)
    assert (set(os.listdir("/proc/self/fd")) if sys.platform == "linux" else set()) == before

import os
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from agent.platform.files.anonymous_file import anonymous_file


def write_rules(file: BinaryIO) -> None:
    file.write(b"rules")


def test_it_holds_what_was_written() -> None:
    descriptor = anonymous_file("test", write_rules)
    assert os.pread(descriptor, 100, 0) == b"rules"
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux seals files")
def test_nobody_who_inherits_it_can_change_it() -> None:
    descriptor = anonymous_file("test", write_rules)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_writer_that_fails_leaves_nothing_open() -> None:
    def fail(_file: BinaryIO) -> None:
        raise ValueError("no")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match="no"):
        anonymous_file("test", fail)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

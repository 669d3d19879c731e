import os
import tempfile
from collections.abc import Iterator

import pytest

from agent.scanner.descriptor_reader import PreadFile, read_content


@pytest.fixture
def descriptor() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        yield file.fileno()


@pytest.mark.parametrize("hint", [0, 5, 10, 11, 100_000_000])
def test_the_content_is_read_whole_whatever_the_hint_says(descriptor: int, hint: int) -> None:
    assert read_content(descriptor, hint, 1000) == b"0123456789"


@pytest.mark.parametrize(("limit", "fits"), [(9, False), (10, True), (0, False)])
def test_more_than_the_limit_is_nothing_at_all(descriptor: int, limit: int, *, fits: bool) -> None:
    assert (read_content(descriptor, 10, limit) is not None) is fits


def test_an_empty_file_is_empty() -> None:
    with tempfile.TemporaryFile() as file:
        assert read_content(file.fileno(), 0, 0) == b""


def test_the_offset_others_rely_on_is_never_moved(descriptor: int) -> None:
    os.lseek(descriptor, 3, os.SEEK_SET)
    with PreadFile(descriptor) as file:
        assert (file.read(4), file.read()) == (b"0123", b"456789")
    read_content(descriptor, 10, 100)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 3

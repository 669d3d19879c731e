import tempfile
from collections.abc import Iterator

import pytest

from agent.scanner.workers.descriptor_reader import read_content


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

"""The demo itself is the first end-to-end test."""

from pathlib import Path

import pytest

from tests.e2e.demo import play


@pytest.mark.timeout(150)
def test_the_whole_story_is_observed(tmp_path: Path) -> None:
    play(tmp_path)
    assert not list((tmp_path / "Downloads").glob("*.part"))

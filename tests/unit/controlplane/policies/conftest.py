from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.world import World, world_on_sqlite


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_sqlite(tmp_path) as opened:
        yield opened

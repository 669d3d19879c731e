from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.fakes.lives import LivesWorld, lives_on_sqlite


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[LivesWorld]:
    async with lives_on_sqlite(tmp_path) as made:
        yield made

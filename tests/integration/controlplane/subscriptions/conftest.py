import pytest_asyncio

from controlplane.storage.database import Database
from tests.fakes.lives import LARGE, SMALL, LivesWorld


@pytest_asyncio.fixture
async def world(database: Database) -> LivesWorld:
    made = LivesWorld(database)
    await made.publish(1, SMALL, LARGE)
    return made

"""Waiting for what happens on another task or thread; patient, as a machine that is busy may take its time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: It did not become true in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 -- what is waited for is somebody else's state, without an event
            await asyncio.sleep(0.005)

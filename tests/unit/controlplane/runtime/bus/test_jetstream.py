import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from controlplane.runtime.bus.jetstream import JetStreamQueue, _Connection


class _Forgetful:
    """What the library does with a cancellation that comes together with an answer; once."""

    def __init__(self) -> None:
        self._has_lost_one = False

    async def _answer(self, *_arguments: object) -> list[object]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._has_lost_one:
                raise
        self._has_lost_one = True
        return []

    fetch = consumer_info = publish = _answer


ASKED: list[Callable[[JetStreamQueue], Awaitable[object]]] = [
    lambda queue: queue.take(4),
    lambda queue: queue.lag(),
    lambda queue: queue.put("rep_1", b""),
]


@pytest.mark.parametrize("ask", ASKED)
async def test_a_server_that_stops_is_not_held_up_by_a_cancellation_that_the_library_lost(
    ask: Callable[[JetStreamQueue], Awaitable[object]],
) -> None:
    library: Any = _Forgetful()
    queue = JetStreamQueue("nats://127.0.0.1:4222", "TEST")
    queue._connection = _Connection(library, library, library)
    queue._is_there.set()

    async def forever() -> None:
        while True:
            await ask(queue)

    task = asyncio.get_running_loop().create_task(forever())
    await asyncio.sleep(0.01)
    task.cancel()
    done, waiting = await asyncio.wait([task], timeout=30)
    for each in waiting:
        each.cancel()
    assert done == {task}
    assert task.cancelled()

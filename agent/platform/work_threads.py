"""Threads that do for an event loop what blocks, and begin sooner than those of `asyncio.to_thread`.

There the loop's thread, having handed its order over, goes on linking one future with another, and the thread that has
been woken by then waits for the interpreter. Here the order is the last thing it does before it rests.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

_Order = TypeVar("_Order")
_Result = TypeVar("_Result")


class WorkThreads:
    """Some threads, started when they are needed first; the program waits for what they have begun when it ends.

    Args:
        name: Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(thread_name_prefix=name)

    async def do(self, work: Callable[[_Order], _Result], order: _Order) -> _Result:
        """Call `work(order)` in a thread; it goes on to its end, even if who waits for it is cancelled.

        Raises:
            BaseException: Whatever `work` raises.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_Result] = loop.create_future()

        def work_and_tell() -> None:
            try:
                result = work(order)
            except BaseException as failure:  # noqa: BLE001 -- whoever waits for it gets it
                _tell(loop, outcome, partial(outcome.set_exception, failure))
            else:
                _tell(loop, outcome, partial(outcome.set_result, result))

        self._pool.submit(work_and_tell)
        return await outcome


def _tell(loop: asyncio.AbstractEventLoop, outcome: "asyncio.Future[_Result]", settle: Callable[[], None]) -> None:
    def unless_cancelled() -> None:
        if not outcome.done():
            settle()

    # A loop that is closed has nobody who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(unless_cancelled)

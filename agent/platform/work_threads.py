"""Threads that do for an event loop what blocks, and begin sooner than those of `asyncio.to_thread`.

There the loop's thread, having handed its order over, goes on linking one future with another, and the thread that has
been woken by then waits for the interpreter. Here the order is the last thing it does before it rests. There, too, all
threads rest at one queue, and the one that is woken wakes the next for nothing before it begins. Here each has a queue
of its own, and the one that worked last, whose memory is still at hand, is woken alone.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

_Order = TypeVar("_Order")
_Result = TypeVar("_Result")
_Tell = Callable[[], None]
#: Does an order; what it returns says how that went to who waits.
_Task = Callable[[], _Tell]
#: As many as the standard library's pools have.
_MOST = min(32, (os.cpu_count() or 1) + 4)


class WorkThreads:
    """Some threads, started when they are needed first; the program waits for what they have begun when it ends.

    Args:
        name: Of the threads.
        most: How many there may be; further orders wait until one of them has done its own.
    """

    def __init__(self, name: str, most: int = _MOST) -> None:
        self._name = name
        self._most = most
        self._count = 0
        self._resting: list[ThreadPoolExecutor] = []
        self._waiting: deque[_Task] = deque()
        self._lock = threading.Lock()

    async def do(self, work: Callable[[_Order], _Result], order: _Order) -> _Result:
        """Call `work(order)` in a thread; it goes on to its end, even if who waits for it is cancelled.

        Raises:
            BaseException: Whatever `work` raises.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_Result] = loop.create_future()

        def work_on_it() -> _Tell:
            try:
                return partial(_tell, loop, outcome, partial(outcome.set_result, work(order)))
            except BaseException as failure:  # noqa: BLE001 -- whoever waits for it gets it
                return partial(_tell, loop, outcome, partial(outcome.set_exception, failure))

        thread = self._thread_for(work_on_it)
        if thread is not None:
            thread.submit(self._work, thread, work_on_it)
        return await outcome

    def _thread_for(self, task: _Task) -> ThreadPoolExecutor | None:
        """Who shall do it now; None: somebody will when he has done what he is at."""
        with self._lock:
            if self._resting:
                return self._resting.pop()
            if self._count == self._most:
                self._waiting.append(task)
                return None
            self._count += 1
            return ThreadPoolExecutor(1, f"{self._name}-{self._count}")

    def _work(self, thread: ThreadPoolExecutor, task: _Task) -> None:
        following: _Task | None = task
        while following is not None:
            tell = following()
            with self._lock:
                following = self._waiting.popleft() if self._waiting else None
                if following is None:
                    # Before anybody is told: who has an order behind this one finds this thread at rest.
                    self._resting.append(thread)
            tell()


def _tell(loop: asyncio.AbstractEventLoop, outcome: "asyncio.Future[_Result]", settle: Callable[[], None]) -> None:
    def unless_cancelled() -> None:
        if not outcome.done():
            settle()

    # A loop that is closed has nobody who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(unless_cancelled)

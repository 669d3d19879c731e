"""Ctrl-C and SIGTERM as an orderly end: what runs is cancelled once, and the caller goes on with what is done."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agent.cli.scan.interruption import SIGNALS, Interruption


@contextmanager
def until_interrupted() -> Iterator[Interruption]:
    """Leave the block early on SIGINT or SIGTERM, as if it had ended. Only in the main thread, inside a task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "a coroutine that runs belongs to a task"
    interruption = Interruption()

    def stop() -> None:
        # A second one, while the first is being obeyed, must not tear that down.
        if not interruption.happened:
            interruption.happened = True
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield interruption
    except asyncio.CancelledError:
        if not interruption.happened:
            raise
        task.uncancel()
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

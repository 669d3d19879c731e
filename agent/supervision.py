"""Keeps the parts of the service running: what protection cannot do without, and what may fail and start again."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from agent.domain.errors import BucklerError
from agent.domain.governor import pause_after

log = structlog.get_logger(__name__)

#: By name; each runs until it is cancelled.
Parts = Mapping[str, Coroutine[Any, Any, None]]

#: Before a part that failed is started again, in seconds; the pause doubles, unless the part ran well for so long.
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 300.0
_GOOD_RUN_S = 600.0


async def supervise(parts: Parts, stopping: asyncio.Event) -> None:
    """Run all parts until told to stop; one that fails ends them all.

    Raises:
        BucklerError: A part was refused something that it needs.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part, name=name) for name, part in parts.items()]
            await stopping.wait()
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:
        refused, _ = failures.split(BucklerError)
        if refused is None:
            raise
        raise _first_of(refused) from failures


async def kept_running(name: str, run: Callable[[], Coroutine[Any, Any, None]], restarts: Counter[str]) -> None:
    """Start a part again whenever it fails: none of these must ever cost the protection.

    Args:
        name: For the log and `restarts`.
        run: Begins it.
        restarts: Counts, by name.
    """
    loop, in_a_row = asyncio.get_running_loop(), 0
    while True:
        begun_s = loop.time()
        try:
            await run()
        except BucklerError as error:
            log.error("part_failed", part=name, code=error.code, message=error.message)  # noqa: TRY400 -- expected kind
        except Exception:
            log.exception("part_failed", part=name)
        restarts[name] += 1
        in_a_row = 1 if loop.time() - begun_s > _GOOD_RUN_S else in_a_row + 1
        await asyncio.sleep(pause_after(in_a_row, _FIRST_PAUSE_S, _LONGEST_PAUSE_S))


def _first_of(failures: BaseExceptionGroup[BucklerError]) -> BucklerError:
    first = failures.exceptions[0]
    return first if isinstance(first, BucklerError) else _first_of(first)

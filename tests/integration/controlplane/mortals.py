"""Server processes that live for one call, or die in it: forked from one that has imported everything before."""

import asyncio
import multiprocessing
from collections.abc import Callable, Coroutine
from typing import Any

PATIENCE_S = 60.0
#: What one of them needs 2 s of processor time to import.
_IMPORTED_BEFORE = [
    "tests.integration.controlplane.billing.dying_process",
    "tests.integration.controlplane.licensing.dying_process",
    "tests.integration.controlplane.subscriptions.dying_process",
]
_MORTALS = multiprocessing.get_context("forkserver")
_MORTALS.set_forkserver_preload(_IMPORTED_BEFORE)


async def lived(main: Callable[..., Coroutine[Any, Any, None]], *arguments: str) -> int:
    """Do something in a process of its own.

    Args:
        main: What; a function of a module.
        arguments: With what.

    Returns:
        How it ended: 0, or minus the signal that killed it. What it failed with stands on our stderr.
    """
    process = _MORTALS.Process(target=_live, args=(main, arguments), daemon=True)
    process.start()
    await asyncio.to_thread(process.join, PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"it was still alive after {PATIENCE_S} s")
    return process.exitcode


def _live(main: Callable[..., Coroutine[Any, Any, None]], arguments: tuple[str, ...]) -> None:
    asyncio.run(main(*arguments))

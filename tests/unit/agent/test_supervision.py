"""Parts that fail are started again, counted, and not in a loop."""

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from agent import supervision
from agent.domain.errors import BucklerError
from tests.fakes.waiting import until


@pytest.mark.parametrize("failure", [BucklerError("X", "it failed", next_step="none"), ValueError("a defect"), None])
async def test_a_part_that_ends_is_started_again_with_growing_pauses(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_FIRST_PAUSE_S", 0.002)
    monkeypatch.setattr(supervision, "_LONGEST_PAUSE_S", 0.5)
    restarts: Counter[str] = Counter()
    begun: list[float] = []

    async def part() -> None:
        begun.append(asyncio.get_running_loop().time())
        if failure is not None:
            raise failure

    task = asyncio.ensure_future(supervision.kept_running("part", part, restarts))
    await until(lambda: restarts["part"] >= 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    # The pauses are 2, 4, 8 and 16 ms at least.
    assert begun[4] - begun[0] >= 0.030

"""How fast a background scan may go: a share of one core, kept by pausing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.domain.facts import ScanFacts
    from agent.domain.ports import Clock, Scanner

#: Seconds of processor time that may be used at once after a rest.
BURST_S = 0.25
#: Processor time is asked for this often: asking costs some 50 microseconds.
_MEASURE_EVERY_NS = 50_000_000
#: A pause is cut into naps no longer than this, so that one who is cancelled or changes their mind is heard.
_LONGEST_NAP_S = 2.0
_WHOLE = 100


@dataclass(slots=True)
class CpuBudget:
    """A bucket that fills with a share of the time that passes and is emptied by the time that is used.

    Over any stretch of time, no more is used than its share of that time, `BURST_S`, and one charge.

    Attributes:
        percent: Share of one core, 1 to 100 and beyond (200: two cores).
    """

    percent: int
    _left_s: float = field(default=BURST_S, init=False)

    def __post_init__(self) -> None:
        """Refuse a share of nothing.

        Raises:
            ValueError: It would wait for ever.
        """
        if self.percent < 1:
            raise ValueError("a share of the processor is at least 1 percent")

    def charge(self, used_s: float, passed_s: float) -> float:
        """Account for what was used.

        Args:
            used_s: Seconds of processor time since the last charge.
            passed_s: Seconds of time since the last charge.

        Returns:
            Seconds to pause before going on.
        """
        share = self.percent / _WHOLE
        self._left_s = min(BURST_S, self._left_s + passed_s * share - used_s)
        return max(0.0, -self._left_s / share)


class Pace:
    """Keeps a budget: whoever works calls `keep` after each bit of work.

    Args:
        budget: The share.
        cpu_seconds: Processor time used so far by everything that counts.
        clock: Measures.
        sleep: Waits; a test's own.
        goes_on: Asked between two naps; False: no more waiting.
    """

    def __init__(
        self,
        budget: CpuBudget,
        cpu_seconds: Callable[[], float],
        clock: "Clock",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._budget = budget
        self._cpu_seconds = cpu_seconds
        self._clock = clock
        self._sleep = sleep
        self._goes_on = goes_on
        self._beside_s = 0.0
        self._used_s = cpu_seconds()
        self._at_ns = clock.monotonic_ns()
        self._turn = asyncio.Lock()

    async def keep(self, beside_s: float = 0.0) -> None:
        """Wait until going on is within the budget; several that call at once wait together.

        Args:
            beside_s: Processor time used since the last call that `cpu_seconds` does not know of.
        """
        self._beside_s += beside_s
        async with self._turn:
            now_ns = self._clock.monotonic_ns()
            if now_ns - self._at_ns < _MEASURE_EVERY_NS:
                return
            used_s = self._cpu_seconds() + self._beside_s
            pause_s = self._budget.charge(used_s - self._used_s, (now_ns - self._at_ns) / 1_000_000_000)
            self._used_s, self._at_ns = used_s, now_ns
            while pause_s > 0 and self._goes_on():
                nap_s = min(pause_s, _LONGEST_NAP_S)
                await self._sleep(nap_s)
                pause_s -= nap_s


class PacedScanner:
    """A scanner that keeps a pace; port `agent.domain.ports.Scanner`.

    Args:
        inner: Scans.
        pace: Is kept after each file.
    """

    def __init__(self, inner: "Scanner", pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    async def scan(self, descriptor: int, path: str) -> "ScanFacts":
        """Scan, then rest as long as the pace asks for."""
        facts = await self._inner.scan(descriptor, path)
        await self._pace.keep()
        return facts

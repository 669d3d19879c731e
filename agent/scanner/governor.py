"""Keeping what scanning costs within limits: the shell around `agent.domain.governor`.

It measures only while files are scanned and until the machine is calm again; on an idle machine it sleeps.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from agent.domain.facts import ScanFacts
from agent.domain.governor import GovernorState, ResourceLimits, ResourceUse, Stage, WorkerUse, govern
from agent.domain.ports import Clock
from agent.platform.process_costs import CostMeter

log = structlog.get_logger(__name__)

#: Between two measurements, in seconds.
SAMPLE_EVERY_S = 5.0
#: Throttled, a file waits for at most so long after the one before it, in seconds.
LONGEST_WAIT_S = 2.0
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class GovernorFacts:
    """For `status`; peaks since the start.

    Attributes:
        stage: See `agent.domain.governor.Stage`.
        reason: Why it is not normal, or what was restarted last.
        cpu_percent_peak: Of one core, over one measurement.
        memory_mb_peak: Agent and workers, MiB.
        restarts: Workers restarted for what they used.
    """

    stage: str = Stage.NORMAL.value
    reason: str = ""
    cpu_percent_peak: float = 0.0
    memory_mb_peak: float = 0.0
    restarts: int = 0


class GovernedWorkers(Protocol):
    """Processes that can be replaced."""

    def work_under_way(self) -> dict[int, str]:
        """What each worker is scanning, by process id; an empty path: nothing."""

    def restart_worker(self, pid: int, reason: str) -> bool:
        """Replace a worker; False: there is none of that id any more."""


class GovernedScanner(GovernedWorkers, Protocol):
    """What is governed: `agent.scanner.service.ScannerService`."""

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        """See `agent.domain.ports.Scanner.scan`."""


class ScanGovernor:
    """Scans through a service, as fast as the limits allow; port `agent.domain.ports.Scanner`.

    Args:
        service: Does the work.
        limits: What is enough.
        clock: Measures.
        is_held: Whether somebody waits for verdicts at this moment; then nothing is slowed down.
        every_s: Between two measurements.
    """

    def __init__(
        self,
        service: GovernedScanner,
        limits: ResourceLimits,
        clock: Clock,
        is_held: Callable[[], bool],
        every_s: float = SAMPLE_EVERY_S,
    ) -> None:
        self._service = service
        self._limits = limits
        self._clock = clock
        self._is_held = is_held
        self._every_s = every_s
        self._meter = CostMeter()
        self._state = GovernorState()
        self._facts = GovernorFacts()
        self._begun = asyncio.Event()
        self._background: GovernedWorkers | None = None
        self._one_at_a_time = asyncio.Lock()
        self._not_before_ns = 0

    def facts(self) -> GovernorFacts:
        """What it came to so far."""
        return self._facts

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        """Scan, now or a little later; see `agent.domain.ports.Scanner.scan`."""
        self._begun.set()
        if self._state.stage is not Stage.THROTTLED or self._is_held():
            return await self._service.scan(descriptor, path)
        async with self._one_at_a_time:
            wait_s = (self._not_before_ns - self._clock.monotonic_ns()) / _NS_PER_S
            await asyncio.sleep(max(0.0, min(wait_s, LONGEST_WAIT_S)))
            facts = await self._service.scan(descriptor, path)
            # As long a pause as the scan took: half of one core.
            self._not_before_ns = self._clock.monotonic_ns() + int(facts.elapsed_ms * 1_000_000)
            return facts

    def watch(self, background: GovernedWorkers) -> None:
        """Also keep an eye on workers that scan behind everybody's back, from now until they are gone.

        Their memory counts like that of the others. The processor time they use is what nobody else wants, and is no
        reason to slow anybody down.
        """
        self._background = background
        self._begun.set()

    async def run(self) -> None:
        """Measure and act until cancelled."""
        while True:
            await self._begun.wait()
            # What was used before this moment is nobody's excess: the meter starts here.
            await asyncio.to_thread(self._meter.measure, self._service.work_under_way())
            while self._begun.is_set() or self._behind() or not self._is_calm():
                self._begun.clear()
                await asyncio.sleep(self._every_s)
                await self._look()

    def _is_calm(self) -> bool:
        state = self._state
        return state.stage is Stage.NORMAL and state.over_since is None

    def _behind(self) -> dict[int, str]:
        """What is being scanned in the background."""
        return {} if self._background is None else self._background.work_under_way()

    def _restart(self, pid: int, reason: str) -> bool:
        pools = (self._service, self._background)
        return any(pool.restart_worker(pid, reason) for pool in pools if pool is not None)

    async def _look(self) -> None:
        behind = self._behind()
        scanning = self._service.work_under_way() | behind
        cost = await asyncio.to_thread(self._meter.measure_each, scanning)
        cpu_percent = cost.total.cpu_percent - sum(cost.own_cpu_percent.get(pid, 0.0) for pid in behind)
        workers = tuple(WorkerUse(pid, mb, scanning.get(pid, "")) for pid, mb in cost.own_memory_mb.items())
        use = ResourceUse(cpu_percent / (os.cpu_count() or 1), cost.total.memory_mb, workers)
        before = self._state
        self._state, order = govern(before, use, self._limits, self._clock.monotonic_ns() / _NS_PER_S)
        restarts = self._facts.restarts
        if order.restart_pid is not None and self._restart(order.restart_pid, order.reason):
            restarts += 1
            log.warning("worker_restarted", reason=order.reason)
        if self._state.stage is not before.stage:
            log.warning("resource_use", stage=self._state.stage.value, reason=self._state.reason)
        self._facts = GovernorFacts(
            stage=self._state.stage.value,
            reason=self._state.reason or order.reason,
            cpu_percent_peak=max(self._facts.cpu_percent_peak, cost.total.cpu_percent),
            memory_mb_peak=max(self._facts.memory_mb_peak, cost.total.memory_mb),
            restarts=restarts,
        )

"""Keeping what scanning costs within limits: the shell around `agent.domain.governor`.

It measures only while files are scanned and until the machine is calm again; on an idle machine it sleeps.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakSet

import structlog

from agent.domain.facts import ScanFacts
from agent.domain.governor import GovernorState, ResourceLimits, ResourceUse, Stage, WorkerUse, govern
from agent.domain.ports import Clock, Scanning
from agent.platform.allocator import give_back_freed_memory
from agent.platform.processes.costs import CostMeter

log = structlog.get_logger(__name__)

#: Between two measurements, in seconds.
SAMPLE_EVERY_S = 5.0
#: Throttled, a file waits for at most so long after the one before it, in seconds.
LONGEST_WAIT_S = 2.0
_NS_PER_S = 1_000_000_000
#: What a scan ends with when its file was too much for the worker.
_TOO_MUCH = frozenset({"timeout", "worker_out_of_memory"})
_NO_SINGLE_FILE = "no file took long by itself, so no rule is named"
#: Files that are told about.
_TOLD = 3


@dataclass(frozen=True, slots=True)
class GovernorFacts:
    """For `status`; peaks since the start.

    Attributes:
        stage: See `agent.domain.governor.Stage`.
        reason: Why it is not normal, or what was restarted last; with what is known of the files' rules.
        costly_files: Files that were too much for a worker, the last ones first, and the rule that was, if it is known.
        cpu_percent_peak: Of one core, over one measurement.
        memory_mb_peak: Agent and workers, MiB.
        restarts: Workers restarted for what they used.
    """

    stage: str = Stage.NORMAL.value
    reason: str = ""
    costly_files: tuple[str, ...] = ()
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
    """What is governed: `agent.scanner.workers.service.ScannerService`."""

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        """See `agent.domain.ports.Scanner.scan`."""


class Finder(Protocol):
    """Finds out which rule made a file costly: `agent.scanner.costs.rule_finder.RuleFinder`."""

    def suspect(self, path: str) -> None:
        """It was costly."""

    def said_of(self, path: str) -> str:
        """What is known by now, for people."""


class ScanGovernor:
    """Scans through a service, as fast as the limits allow; port `agent.domain.ports.Scanner`.

    Args:
        service: Does the work.
        limits: What is enough.
        clock: Measures.
        is_held: Whether somebody waits for verdicts at this moment; then nothing is slowed down.
        finder: Which rules make files costly.
        every_s: Between two measurements.
    """

    def __init__(
        self,
        service: GovernedScanner,
        limits: ResourceLimits,
        clock: Clock,
        is_held: Callable[[], bool],
        finder: Finder,
        every_s: float = SAMPLE_EVERY_S,
    ) -> None:
        self._service = service
        self._limits = limits
        self._clock = clock
        self._is_held = is_held
        self._finder = finder
        self._every_s = every_s
        self._meter = CostMeter()
        self._state = GovernorState()
        self._facts = GovernorFacts()
        self._begun = asyncio.Event()
        #: Of each scan; what nobody holds any more has ended.
        self._background: WeakSet[GovernedWorkers] = WeakSet()
        self._seen: dict[int, str] = {}
        self._costly: deque[str] = deque(maxlen=_TOLD)
        self._restarted = ""
        self._one_at_a_time = asyncio.Lock()
        self._not_before_ns = 0

    def facts(self) -> GovernorFacts:
        """What it came to so far."""
        said = {path: self._finder.said_of(path) for path in self._costly}
        reason = self._facts.reason
        about = [what for path, what in said.items() if path in reason]
        if self._state.stage is not Stage.NORMAL and not about:
            about = [_NO_SINGLE_FILE]
        return replace(self._facts, reason="; ".join((reason, *about)), costly_files=tuple(said.values()))

    def scan(self, descriptor: int, path: str) -> Scanning:
        """Scan, now or a little later; see `agent.domain.ports.Scanner.scan`."""
        self._begun.set()
        if self._state.stage is not Stage.THROTTLED or self._is_held():
            return _Judged(self, path, self._service.scan(descriptor, path))
        return self._scan_slowly(descriptor, path)

    async def _scan_slowly(self, descriptor: int, path: str) -> ScanFacts:
        async with self._one_at_a_time:
            wait_s = (self._not_before_ns - self._clock.monotonic_ns()) / _NS_PER_S
            await asyncio.sleep(max(0.0, min(wait_s, LONGEST_WAIT_S)))
            facts = await self._service.scan(descriptor, path)
            # As long a pause as the scan took: half of one core.
            self._not_before_ns = self._clock.monotonic_ns() + int(facts.elapsed_ms * 1_000_000)
            return self.judge(path, facts)

    def judge(self, path: str, facts: ScanFacts) -> ScanFacts:
        """Take note of a scan, of this service or in the background, that ended with its file being too much."""
        if any(item.reason in _TOO_MUCH for item in facts.incomplete):
            self._suspect(path)
        return facts

    def _suspect(self, path: str) -> None:
        """It was too much for its worker; the last such file is told first."""
        if path in self._costly:
            self._costly.remove(path)
        self._costly.appendleft(path)
        self._finder.suspect(path)

    def watch(self, background: GovernedWorkers) -> None:
        """Also keep an eye on workers that scan behind everybody's back, from now until they are gone.

        Their memory counts like that of the others. The processor time they use is what nobody else wants, and is no
        reason to slow anybody down.
        """
        self._background.add(background)
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
            # What a burst took is not needed until the next one.
            await asyncio.to_thread(give_back_freed_memory)

    def _is_calm(self) -> bool:
        state = self._state
        return state.stage is Stage.NORMAL and state.over_since is None

    def _behind(self) -> dict[int, str]:
        """What is being scanned in the background."""
        return {pid: path for pool in self._background for pid, path in pool.work_under_way().items()}

    def _restart(self, pid: int, reason: str) -> bool:
        return any(pool.restart_worker(pid, reason) for pool in (self._service, *self._background))

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
            self._restarted = order.reason
            log.warning("worker_restarted", reason=order.reason)
            if scanning.get(order.restart_pid):
                self._suspect(scanning[order.restart_pid])
        if self._state.stage is not before.stage:
            log.warning("resource_use", stage=self._state.stage.value, reason=self._state.reason)
        if self._state.stage is not Stage.NORMAL:
            self._suspect_lasting(scanning)
        self._seen = scanning
        self._facts = GovernorFacts(
            stage=self._state.stage.value,
            reason=self._state.reason or self._restarted,
            cpu_percent_peak=max(self._facts.cpu_percent_peak, cost.total.cpu_percent),
            memory_mb_peak=max(self._facts.memory_mb_peak, cost.total.memory_mb),
            restarts=restarts,
        )

    def _suspect_lasting(self, scanning: dict[int, str]) -> None:
        """A worker that is at the same file as one measurement ago is slow because of that file."""
        for pid, path in scanning.items():
            if path and self._seen.get(pid) == path and path not in self._costly:
                self._suspect(path)


@dataclass(slots=True)
class _Judged:
    """A scan that the governor takes note of when it ends."""

    governor: ScanGovernor
    path: str
    scanning: Scanning

    def __await__(self) -> Generator[Any, Any, ScanFacts]:
        facts = yield from self.scanning.__await__()
        return self.governor.judge(self.path, facts)

    def close(self) -> None:
        self.scanning.close()

"""The parent's side of scanning: a pool of weak workers, a queue, a deadline per file.

Whatever a file does to its worker costs that file its verdict and nothing else: a worker that crashes, hangs, runs out
of memory or sends nonsense is killed and replaced, and its file is `incomplete` with the reason.
"""

import asyncio
import os
import stat
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import (
    SCANNER_CLOSED,
    SCANNER_OVERLOADED,
    SCANNER_UNAVAILABLE,
    WORKER_CRASHED,
    WORKER_RESTARTED,
    Finding,
    Incomplete,
    ScanFacts,
)
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock
from agent.platform.processes.costs import usage_of
from agent.platform.sandbox.hardening import SandboxReport
from agent.scanner.packs.credits import credit_of
from agent.scanner.packs.deferred_pack import Pack
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.process import WorkerProcess
from agent.scanner.workers.protocol import Answer, Hello, ProtocolError, WorkerOrders, decode_answer
from agent.scanner.workers.starting import WorkerStarter, worker_starter

#: The worker stops by itself at the deadline and tells what it found; it is killed this much later, in seconds.
_KILL_GRACE_S = 1.0
#: After so many failed starts in a row nobody waits for a worker any more, until one starts after all.
_HOPELESS_STARTS = 3
_LONGEST_PAUSE_S = 60.0
#: How long `close` waits for killed workers to be collected, in seconds.
_REAP_PATIENCE_S = 5.0
_REAP_INTERVAL_S = 0.05
#: How often a file is handed to another worker because the first was dead before it got it.
_ATTEMPTS = 3


#: How often deadlines are looked at while a file is under way, in seconds; a timer for each file costs more.
_DEADLINE_INTERVAL_S = 0.1
#: How often a worker is asked what it uses, in seconds, if it answers.
_USAGE_INTERVAL_S = 1.0
#: What becomes of a file that waited behind the one its worker died of, or is busy with for long.
_AGAIN = "again"


@dataclass(slots=True)
class _Job:
    """A file that a worker has been handed."""

    path: str
    outcome: "asyncio.Future[Answer | str]"
    #: When its worker could begin with it.
    begun_ns: int = 0


@dataclass(slots=True)
class _Place:
    """One place in the pool and who holds it."""

    worker: WorkerProcess
    ready: bool = False
    #: In the order they were handed over, which is that of the answers: the first is being scanned.
    jobs: deque[_Job] = field(default_factory=deque)
    #: When the worker could begin with the first job, and when that is overdue; in the loop's time.
    begun_at: float = 0.0
    deadline: float = 0.0
    #: What its death will mean for the first job.
    reason_if_dead: str = WORKER_CRASHED
    files_done: int = 0
    start_deadline: asyncio.TimerHandle | None = None
    #: The worker that leaves when this one is ready.
    replaces: WorkerProcess | None = None
    #: Its successor is ready: it goes when its files are done.
    leaving: bool = False
    resident_at_start: int = 0
    usage_at: float = 0.0


class ScannerService:
    """Scans descriptors in weak worker processes; port `agent.domain.ports.Scanner`.

    All methods are called on the event loop's thread.

    Args:
        settings: How.
        pack: The rules; stays open until after `close`.
        clock: Measures.
        scanned: Told what each file came to.
    """

    def __init__(
        self,
        settings: ScannerSettings,
        pack: Pack,
        clock: Clock,
        scanned: Callable[[str, ScanFacts], None] = lambda _path, _facts: None,
    ) -> None:
        self._scanned = scanned
        self._settings = settings
        self._pack = pack
        self._clock = clock
        self._places: dict[WorkerProcess, _Place] = {}
        #: Places without a file, and those that can take one more behind the one they have.
        self._idle: deque[_Place] = deque()
        self._ahead: deque[_Place] = deque()
        self._starter: WorkerStarter | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[_Place]] = deque()
        self._dead: list[WorkerProcess] = []
        self._failed_starts = 0
        self._last_failure = ""
        self._restarts: set[asyncio.TimerHandle] = set()
        self._sandbox: SandboxReport | None = None
        self._closed = True

    async def start(self) -> None:
        """Start all workers; return when the first is ready.

        Raises:
            BucklerError: `SCANNER_UNAVAILABLE`: no worker can be started; nothing is left running then.
        """
        self._closed = False
        settings = self._settings
        orders = WorkerOrders(
            settings.engine,
            settings.limits,
            settings.memory_limit(),
            settings.cpu_limit_s(),
            os.getpid(),
            background=settings.background,
            itemise=settings.itemise,
        )
        self._starter = worker_starter(asyncio.get_running_loop(), self._pack.image, orders)
        self._fill()
        try:
            place = self._take_place() or await self._wait_for_place()
        except _NoWorkerError as error:
            await self.close()
            raise BucklerError(
                "SCANNER_UNAVAILABLE",
                f"no scan worker can be started: {self._last_failure}",
                next_step="check free memory and the rule files, then try again",
                exit_status=ExitStatus.ENVIRONMENT,
            ) from error
        self._free(place)

    def scan(self, descriptor: int, path: str) -> Coroutine[Any, Any, ScanFacts]:
        """Scan what a descriptor points to; see `agent.domain.ports.Scanner.scan`.

        A worker that can have the file has it when this returns.
        """
        begun_ns = self._clock.monotonic_ns()
        try:
            before = os.fstat(descriptor)
        except OSError:
            return self._refused(Answer("", 0, error="unreadable"), begun_ns)
        if not stat.S_ISREG(before.st_mode):
            return self._refused(Answer("", 0, error="not_a_regular_file"), begun_ns)
        limit = self._settings.limits.max_file_size
        if before.st_size > limit:
            too_large = (Incomplete("max_file_size", limit),)
            return self._refused(Answer("", before.st_size, incomplete=too_large), begun_ns)
        place = self._take_place()
        job = self._hand_over(place, descriptor, before, path) if place is not None else None
        return self._scan(descriptor, path, before, begun_ns, job)

    async def _refused(self, answer: Answer, begun_ns: int) -> ScanFacts:
        return self._facts(answer, begun_ns)

    async def _scan(
        self, descriptor: int, path: str, before: os.stat_result, begun_ns: int, job: _Job | None
    ) -> ScanFacts:
        answer, handed_ns = await self._ask(descriptor, before, path, job)
        if not _unchanged(before, descriptor):
            changed = (*answer.incomplete, Incomplete("changed"))
            answer = replace(answer, incomplete=changed)
        facts = self._facts(answer, max(begun_ns, handed_ns))
        self._scanned(path, facts)
        return facts

    async def close(self) -> None:
        """End all workers; scans under way end with `scanner_closed`. Safe to repeat."""
        self._closed = True
        for timer in self._restarts:
            timer.cancel()
        self._restarts.clear()
        for place in list(self._places.values()):
            place.worker.end("closing")
        self._refuse_waiting(SCANNER_CLOSED)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._starter is not None:
            self._starter.close()
        waited = 0.0
        while self._reap() and waited < _REAP_PATIENCE_S:
            await asyncio.sleep(_REAP_INTERVAL_S)
            waited += _REAP_INTERVAL_S

    def health(self) -> tuple[HealthIssue, ...]:
        """What keeps scanning from being what it should be."""
        issues: list[HealthIssue] = []
        if not self._closed and self._failed_starts and not any(place.ready for place in self._places.values()):
            issues.append(HealthIssue("scanner_unavailable", f"scan workers do not start: {self._last_failure}"))
        if self._sandbox is not None and not {"no_file_access", "system_call_filter"} & set(self._sandbox.in_force):
            why = "; ".join(f"{missing.layer}: {missing.reason}" for missing in self._sandbox.missing)
            issues.append(HealthIssue("scanner_not_confined", f"this system cannot confine scan workers ({why})"))
        return tuple(issues)

    def worker_pids(self) -> frozenset[int]:
        """Process ids of all workers that run now."""
        return frozenset(worker.pid for worker in self._places if worker.pid is not None)

    def process_ids(self) -> frozenset[int]:
        """Process ids of all workers and of what starts them; event sources ignore what these do."""
        return self.worker_pids() | (self._starter.pids() if self._starter is not None else frozenset())

    def current_files(self) -> tuple[str, ...]:
        """Paths being scanned at this moment."""
        return tuple(place.jobs[0].path for place in self._places.values() if place.jobs)

    def work_under_way(self) -> dict[int, str]:
        """What each worker is scanning, by process id; an empty path: nothing."""
        known = ((worker.pid, place.jobs) for worker, place in self._places.items())
        return {pid: jobs[0].path if jobs else "" for pid, jobs in known if pid is not None}

    def restart_worker(self, pid: int, reason: str) -> bool:
        """Replace a worker; the file it is at is `incomplete` with `worker_restarted`.

        Returns:
            False: There is no such worker any more.
        """
        place = next((place for worker, place in self._places.items() if worker.pid == pid), None)
        if place is None:
            return False
        place.reason_if_dead = WORKER_RESTARTED
        place.worker.end(reason)
        return True

    def sandbox(self) -> SandboxReport | None:
        """What the newest worker reported about its confinement; None: none has started yet."""
        return self._sandbox

    # ------------------------------------------------------------ one file

    async def _ask(self, descriptor: int, status: os.stat_result, path: str, job: _Job | None) -> tuple[Answer, int]:
        """The answer, and when its worker could begin with it (0: none could); waiting is no fault of the file's."""
        size = status.st_size
        attempts = 0
        while attempts < _ATTEMPTS:
            if job is None:
                try:
                    place = self._take_place() or await self._wait_for_place()
                except _NoWorkerError as error:
                    return Answer("", size, error=error.code), 0
                job = self._hand_over(place, descriptor, status, path)
            if job is None:
                attempts += 1
                continue
            # If our caller is cancelled here, the worker still finishes its file and frees its place by itself.
            result = await job.outcome
            if isinstance(result, Answer):
                return result, job.begun_ns
            if result == _AGAIN:
                job = None
                continue
            if result == SCANNER_CLOSED:
                return Answer("", size, error=result), 0
            limit = -int(-self._settings.limits.timeout_s // 1) if result == "timeout" else None
            return Answer("", size, incomplete=(Incomplete(result, limit),)), job.begun_ns
        return Answer("", size, error=SCANNER_UNAVAILABLE), 0

    def _hand_over(self, place: _Place, descriptor: int, status: os.stat_result, path: str) -> _Job | None:
        """Returns None if the worker turns out to be gone."""
        try:
            place.worker.send(descriptor, status.st_size, status.st_uid, path)
        except OSError as error:
            place.worker.end(f"it cannot be reached: {error.strerror}")
            return None
        job = _Job(path, asyncio.get_running_loop().create_future())
        place.jobs.append(job)
        if len(place.jobs) == 1:
            self._begin_first(place)
        if len(place.jobs) <= self._settings.files_ahead:
            self._offer(place, self._ahead)
        return job

    def _begin_first(self, place: _Place) -> None:
        """Its time runs from when the worker can begin with it."""
        loop = asyncio.get_running_loop()
        place.jobs[0].begun_ns = self._clock.monotonic_ns()
        place.begun_at = loop.time()
        place.deadline = place.begun_at + self._settings.limits.timeout_s + _KILL_GRACE_S
        if self._watch is None:
            self._watch = loop.call_later(_DEADLINE_INTERVAL_S, self._check_deadlines)

    def _check_deadlines(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = None
        for place in [place for place in self._places.values() if place.jobs]:
            if place.deadline <= loop.time():
                place.reason_if_dead = "timeout"
                place.worker.end("it exceeded the time of one file")
                continue
            if self._is_slow(place):
                self._hand_on(place)
            if self._watch is None:
                self._watch = loop.call_later(_DEADLINE_INTERVAL_S, self._check_deadlines)

    @staticmethod
    def _is_slow(place: _Place) -> bool:
        return bool(place.jobs) and place.begun_at + _DEADLINE_INTERVAL_S <= asyncio.get_running_loop().time()

    def _hand_on(self, slow: _Place) -> None:
        """What waits behind a file that takes long goes to another worker; what this one says of it comes too late."""
        if slow in self._ahead:
            self._ahead.remove(slow)
        if any(place.ready and not self._is_slow(place) for place in self._places.values()):
            for job in list(slow.jobs)[1:]:
                if not job.outcome.done():
                    job.outcome.set_result(_AGAIN)

    def _take_place(self) -> _Place | None:
        """A worker that can have a file now: the one that was busy last, whose memory is still at hand, if it rests."""
        if self._idle:
            return self._idle.pop()
        return self._ahead.popleft() if self._ahead else None

    async def _wait_for_place(self) -> _Place:
        if self._closed:
            raise _NoWorkerError(SCANNER_CLOSED)
        if self._failed_starts >= _HOPELESS_STARTS and not any(place.ready for place in self._places.values()):
            raise _NoWorkerError(SCANNER_UNAVAILABLE)
        if len(self._waiting) >= self._settings.max_waiting:
            raise _NoWorkerError(SCANNER_OVERLOADED)
        ticket: asyncio.Future[_Place] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        try:
            return await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled() and ticket.exception() is None:
                self._free(ticket.result())
            raise

    def _free(self, place: _Place) -> None:
        """A worker has done a file, or was not given one: give it to the next who waits, or let it rest."""
        if place.leaving:
            if not place.jobs:
                place.worker.end("recycled")
        elif place.worker in self._places:
            self._offer(place, self._ahead if place.jobs else self._idle)

    def _offer(self, place: _Place, resting: deque[_Place]) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(place)
                return
        if place in self._ahead:
            self._ahead.remove(place)
        if place not in resting:
            resting.append(place)

    def _withdraw(self, place: _Place) -> None:
        for places in (self._idle, self._ahead):
            if place in places:
                places.remove(place)

    def _facts(self, answer: Answer, begun_ns: int) -> ScanFacts:
        return ScanFacts(
            sha256=answer.sha256,
            size_bytes=answer.size_bytes,
            findings=self._credited(answer.findings),
            incomplete=answer.incomplete,
            error=answer.error,
            engine=self._pack.engine_label,
            signatures_version=self._pack.version,
            elapsed_ms=(self._clock.monotonic_ns() - begun_ns) / 1_000_000,
            costs=answer.costs,
        )

    def _credited(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Licences of third-party rules ask that their authors are named where something is found."""
        if not self._pack.credits:
            return findings
        return tuple(replace(item, credit=credit_of(item.namespace, self._pack.credits)) for item in findings)

    # ------------------------------------------------------------ the pool

    def _fill(self) -> None:
        """Start as many workers as are missing; a successor counts from the moment its predecessor is gone."""
        places = self._places.values()
        here = sum(not place.leaving and place.replaces not in self._places for place in places)
        pending = len(self._restarts)
        for _ in range(self._settings.worker_count() - here - pending):
            self._spawn()

    def _has_successor(self, worker: WorkerProcess) -> bool:
        return any(place.replaces is worker for place in self._places.values())

    def _spawn(self, replaces: WorkerProcess | None = None) -> None:
        assert self._starter is not None, "made by start"
        loop = asyncio.get_running_loop()
        worker = WorkerProcess(loop, self._starter, self)
        place = _Place(worker, replaces=replaces)
        place.start_deadline = loop.call_later(
            self._settings.start_timeout_s, worker.end, "it did not get ready in time"
        )
        self._places[worker] = place

    def ready(self, worker: WorkerProcess, hello: Hello) -> None:
        """A worker is ready; see `WorkerListener`."""
        place = self._places[worker]
        place.ready = True
        self._sandbox = hello.sandbox
        self._failed_starts = 0
        if place.start_deadline is not None:
            place.start_deadline.cancel()
        if worker.pid is not None and (usage := usage_of(worker.pid)) is not None:
            place.resident_at_start = usage.resident_bytes
        if place.replaces is not None and (old := self._places.get(place.replaces)) is not None:
            old.leaving = True
            self._withdraw(old)
            if not old.jobs:
                old.worker.end("recycled")
        self._free(place)

    def answered(self, worker: WorkerProcess, untrusted_answer: bytes) -> None:
        """A worker sent an answer; see `WorkerListener`."""
        place = self._places[worker]
        if not place.jobs:
            worker.end("it spoke without being asked")
            return
        try:
            answer = decode_answer(untrusted_answer)
        except ProtocolError as error:
            worker.end(f"it sent no valid answer: {error}")
            return
        job = place.jobs.popleft()
        if place.jobs:
            self._begin_first(place)
        if not job.outcome.done():
            job.outcome.set_result(answer)
        place.files_done += 1
        if any(item.reason == "worker_out_of_memory" for item in answer.incomplete):
            # Its heap is at the limit; the next file deserves a fresh one.
            worker.end("out of memory")
            return
        if place.files_done % self._settings.recycle_after_files == 0:
            self._renew(worker)
        loop = asyncio.get_running_loop()
        if loop.time() >= place.usage_at + _USAGE_INTERVAL_S:
            place.usage_at = loop.time()
            # When who waits for the answer has gone on: a look into /proc takes as long as a small file.
            loop.call_soon(self._renew_if_worn, place)
        self._free(place)

    def _renew(self, worker: WorkerProcess) -> None:
        """Have a fresh worker take its place."""
        if not self._has_successor(worker):
            self._spawn(replaces=worker)

    def _renew_if_worn(self, place: _Place) -> None:
        """If it has gained or used so much."""
        if place.worker not in self._places or place.worker.pid is None:
            return
        usage = usage_of(place.worker.pid)
        if usage is None:
            return
        grown = usage.resident_bytes - place.resident_at_start
        if grown > self._settings.recycle_after_growth or usage.cpu_s > self._settings.cpu_limit_s() / 2:
            self._renew(place.worker)

    def died(self, worker: WorkerProcess, reason: str) -> None:
        """A worker is gone; see `WorkerListener`."""
        place = self._places.pop(worker)
        self._dead.append(worker)
        self._reap()
        self._withdraw(place)
        if place.start_deadline is not None:
            place.start_deadline.cancel()
        for number, job in enumerate(place.jobs):
            if not job.outcome.done():
                # Only the first had been begun: the others are none the worse for it.
                job.outcome.set_result(SCANNER_CLOSED if self._closed else _AGAIN if number else place.reason_if_dead)
        if self._closed or place.leaving:
            return
        if place.ready:
            self._fill()
        else:
            self._start_failed(reason)

    def _start_failed(self, reason: str) -> None:
        self._failed_starts += 1
        self._last_failure = reason
        if self._failed_starts >= _HOPELESS_STARTS and not any(place.ready for place in self._places.values()):
            self._refuse_waiting(SCANNER_UNAVAILABLE)
        pause = min(_LONGEST_PAUSE_S, 0.1 * 2**self._failed_starts)

        def again() -> None:
            self._restarts.discard(timer)
            self._fill()

        timer = asyncio.get_running_loop().call_later(pause, again)
        self._restarts.add(timer)

    def _refuse_waiting(self, code: str) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_exception(_NoWorkerError(code))

    def _reap(self) -> int:
        self._dead = [worker for worker in self._dead if not worker.reap()]
        return len(self._dead)


class _NoWorkerError(Exception):
    """There is no worker to wait for."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _unchanged(before: os.stat_result, descriptor: int) -> bool:
    try:
        after = os.fstat(descriptor)
    except OSError:
        return False
    # Not the change time: renaming a file, even our own quarantine of it, changes that and not a byte of it.
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)

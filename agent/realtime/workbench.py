"""Where the pipeline's jobs are done: scans, captures, reports, each a task; opening and closing of descriptors."""

import asyncio
import os
from collections.abc import Callable

import structlog

from agent.domain.errors import BucklerError
from agent.domain.facts import ScanFacts
from agent.domain.files import EventsLost, FileEvent, FileIdentity
from agent.domain.incident import Incident
from agent.domain.ports import CAPTURE_UNFINISHED, Scanning
from agent.platform.files.regular_files import identity_of, open_regular
from agent.realtime.actions import not_taken, reported, take
from agent.realtime.commands import (
    Capture,
    CaptureFinished,
    Command,
    Input,
    JobAborted,
    NotThere,
    Record,
    Release,
    Reopen,
    Scan,
    ScanFinished,
    Stopping,
)
from agent.realtime.neighbours import Neighbours

log = structlog.get_logger(__name__)


class Workbench:
    """Does jobs and says how they ended.

    Args:
        neighbours: Scan, capture and keep what is reported.
        done: Receives results, on the event loop's thread.
        scanned: Told what each scan came to.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        done: Callable[[Input], None],
        scanned: Callable[[Scan, ScanFacts], None],
    ) -> None:
        self._scanner = neighbours.scanner
        self._quarantine = neighbours.quarantine
        self._incidents = neighbours.incidents
        self._clock = neighbours.clock
        self._randomness = neighbours.randomness
        self._done = done
        self._scanned = scanned
        self._tasks: asyncio.TaskGroup | None = None
        self._generation = 0
        #: The scan whose end is being told, and the capture it led to.
        self._ending: int | None = None
        self._following: Capture | None = None

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """From now on jobs can be done."""
        self._tasks = tasks

    def outdate(self) -> None:
        """Rules or policy changed: results of scans that are running now must not be remembered."""
        self._generation += 1

    def handle(self, command: Release | Reopen) -> list[Input]:
        """Close or open a file at once; what comes of it."""
        if isinstance(command, Release):
            os.close(command.descriptor)
            return []
        try:
            opened = open_regular(command.path)
        except OSError as failure:
            return [EventsLost("pipeline", f"a file that was set aside could not be opened: {failure.strerror}")]
        if opened is None:
            return [NotThere(command.path)]
        seen = self._clock.monotonic_ns()
        return [FileEvent(opened.identity, command.path, opened.descriptor, 0, command.kind, None, seen)]

    def start(self, command: Command) -> None:
        """Begin a job; its end is told to `done`."""
        assert self._tasks is not None, "jobs come after `open`"
        match command:
            case Scan():
                self._begin_scan(command)
            case Capture() if command.job == self._ending:
                self._following = command
            case Capture():
                self._tasks.create_task(self._capture(command))
            case Record():
                self._tasks.create_task(self._record(command))
            case _:
                raise RuntimeError(f"no job: {command}")

    def _begin_scan(self, command: Scan) -> None:
        """Now, not when the task has its turn: the file is with a worker while we do what else is due."""
        assert self._tasks is not None, "as above"
        try:
            before = identity_of(os.fstat(command.descriptor))
            scanning = self._scanner.scan(command.descriptor, command.path)
        except Exception:
            log.exception("scan_failed", path=command.path)
            self._done(JobAborted(command.job))
            return
        task = self._tasks.create_task(self._scan(command, before, scanning, self._generation))
        # A task that is cancelled before it begins awaits nothing.
        task.add_done_callback(lambda _: scanning.close())

    async def _scan(self, command: Scan, before: FileIdentity, scanning: Scanning, generation: int) -> None:
        try:
            facts = await scanning
            after = identity_of(os.fstat(command.descriptor))
        except asyncio.CancelledError:
            self._abort(command.job)
            raise
        except Exception:
            log.exception("scan_failed", path=command.path)
            self._done(JobAborted(command.job))
            return
        outdated = generation != self._generation
        capture = self._end_scan(ScanFinished(command.job, facts, before, changed=before != after, outdated=outdated))
        if capture is not None:
            # Now, not as a task of its own: that would have its turn after everything else that is due.
            await self._capture(capture)
        # After what somebody is waiting for.
        self._scanned(command, facts)

    def _end_scan(self, finished: ScanFinished) -> Capture | None:
        """Tell how a scan ended; the capture of its file, if that is what comes of it."""
        self._ending = finished.job
        try:
            self._done(finished)
        finally:
            self._ending = None
            capture, self._following = self._following, None
        return capture

    async def _capture(self, command: Capture) -> None:
        try:
            finished = await take(command, self._quarantine, self._clock, self._randomness)
        except asyncio.CancelledError:
            self._abort(command.job)
            raise
        except Exception as failure:
            log.exception("capture_failed", path=command.paths[-1])
            # What the vault has begun it also reports, once.
            if not (isinstance(failure, BucklerError) and failure.code == CAPTURE_UNFINISHED):
                incident = not_taken(command, type(failure).__name__, self._clock, self._randomness)
                await self._write(incident)
            finished = CaptureFinished(command.job, frozenset(), changed=False)
        self._done(finished)
        log.warning("file_infected", path=command.paths[-1], rules=[finding.rule for finding in command.findings])

    async def _record(self, command: Record) -> None:
        await self._write(reported(command, self._clock))

    async def _write(self, incident: Incident) -> None:
        """A finding that cannot be written down must be found again, so the walk that finds it is owed."""
        try:
            await asyncio.to_thread(self._incidents.record, incident)
        except Exception:
            log.exception("incident_not_recorded", path=incident.path)
            self._done(EventsLost("pipeline", "a finding could not be recorded"))

    def _abort(self, job: int) -> None:
        """Tasks are cancelled only when everything ends."""
        self._done(Stopping())
        self._done(JobAborted(job))

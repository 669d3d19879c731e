"""Takes reports into a durable queue and stores them from there: a database that is slow or away holds no device up."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from controlplane.accounts.ports import Sealer
from controlplane.detections.dead_reports import DeadReport, DeadReports, why
from controlplane.detections.envelope import Report, pack, retry_after, split, unpack
from controlplane.detections.errors import too_many_incidents
from controlplane.detections.model import MAX_INCIDENTS, ReportedIncident
from controlplane.detections.service import DetectionService
from controlplane.runtime.bus.queue import DurableQueue, QueueAwayError, QueueLag, Taken
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal, acting_as
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.outages import DatabaseUnavailableError

#: Reports that one replica stores at a time.
AT_ONCE: Final = 4
#: Seconds before a queue that failed is asked again.
_REST_S: Final = 1.0
#: Seconds between questions how much waits.
_WATCH_EVERY_S: Final = 5.0
#: Of somebody who is not known.
_UNKNOWN: Final = ""
#: Hexadecimal digits of the name of a report whose own is not believed.
_NAME_DIGITS: Final = 32

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class IntakeCounts:
    """What became of reports, in this process.

    Attributes:
        buffered: Taken into the queue.
        straight: Stored at once, because the queue was away or full.
        stored: From the queue.
        later: Put off.
        dead: Given up, kept for a person.
        lost: Given up, and there were too many to keep.
        lag_s: Between taking and storing the newest one that was stored, in seconds.
        queue: What waited when the queue was last asked; None: it did not answer.
    """

    buffered: int = 0
    straight: int = 0
    stored: int = 0
    later: int = 0
    dead: int = 0
    lost: int = 0
    lag_s: float = 0.0
    queue: QueueLag | None = None


@dataclass(frozen=True, slots=True)
class IntakeGround:
    """What it stands on.

    Attributes:
        queue: Outlives this process.
        detections: Stores.
        dead: Keeps what cannot be stored.
        sealer: Of what lies in the queue.
        times: At which time a report is stored.
        wall: How long it lay there.
        randomness: Names reports.
    """

    queue: DurableQueue
    detections: DetectionService
    dead: DeadReports
    sealer: Sealer
    times: TenantTimes
    wall: Clock
    randomness: Randomness


@dataclass(frozen=True, slots=True)
class BufferedIntake:
    """Implements `Intake`."""

    ground: IntakeGround
    counts: IntakeCounts = field(default_factory=IntakeCounts)

    async def report(
        self, principal: DevicePrincipal, incidents: Sequence[ReportedIncident], dropped: Mapping[str, int]
    ) -> None:
        """See `Intake`. Whether the device may still report is asked when it is stored.

        Raises:
            Refusal: `TOO_MANY_INCIDENTS`; if the queue is away, as `DetectionService.report`.
        """
        if len(incidents) > MAX_INCIDENTS:
            raise too_many_incidents(MAX_INCIDENTS)
        parts = split(incidents, self.ground.queue.most_bytes)
        for number, part in enumerate(parts, start=1):
            # With the last one: a device whose report was taken in part sends all of it again.
            await self._take(principal, part, dropped if number == len(parts) else {})

    async def _take(
        self, principal: DevicePrincipal, incidents: Sequence[ReportedIncident], dropped: Mapping[str, int]
    ) -> None:
        report_id = new_id(self.ground.randomness, "rep")
        report = Report(report_id, principal, self.ground.wall.now(), incidents, dropped)
        try:
            await self.ground.queue.put(report_id, pack(report, self.ground.sealer))
        except QueueAwayError as error:
            # It may have been taken all the same: then it is stored twice under one id, which is once.
            _log.warning("report_not_buffered", error=str(error))
            await self.ground.detections.report(principal, incidents, dropped, report_id=report_id)
            self.counts.straight += 1
        else:
            self.counts.buffered += 1

    async def run(self) -> None:
        """Store what is taken, by this replica or another, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ground.queue.run())
            tasks.create_task(self._watch())
            tasks.create_task(self._store_forever())

    async def _watch(self) -> None:
        while True:
            try:
                self.counts.queue = await self.ground.queue.lag()
            except QueueAwayError:
                self.counts.queue = None
            await asyncio.sleep(_WATCH_EVERY_S)

    async def _store_forever(self) -> None:
        while True:
            try:
                taken = await self.ground.queue.take(AT_ONCE)
                async with asyncio.TaskGroup() as tasks:
                    storing = [tasks.create_task(self.store(each)) for each in taken]
                rests = [rest for task in storing if (rest := task.result()) is not None]
                if rests:
                    # Whatever else is there would fare the same.
                    await asyncio.sleep(max(rests).total_seconds())
            # Supervision point: a queue that fails must not end the server; what is in it stays there.
            except Exception as error:  # noqa: BLE001
                _log.warning("buffer_failed", error=type(error).__name__)
                await asyncio.sleep(_REST_S)

    async def store(self, taken: Taken) -> timedelta | None:
        """Store one report that was handed out; how long to rest: the database is away."""
        try:
            report = unpack(taken.body, self.ground.sealer)
        except Refusal as refusal:
            await self._give_up(taken, None, refusal)
            return None
        try:
            await self._stored(report)
        # Supervision point: whatever a report does to the database, the others are stored.
        except Exception as error:  # noqa: BLE001
            return await self._put_off(taken, report, error)
        await taken.done()
        self.counts.stored += 1
        self.counts.lag_s = (self.ground.wall.now() - report.taken_at).total_seconds()
        return None

    async def _stored(self, report: Report) -> None:
        async with self.ground.times.of(report.principal.org_id):
            with acting_as(report.principal.actor):
                await self.ground.detections.report(
                    report.principal, report.incidents, report.dropped, report_id=report.report_id
                )

    async def _put_off(self, taken: Taken, report: Report, error: Exception) -> timedelta | None:
        away = is_away(error)
        after = None if isinstance(error, Refusal) else retry_after(taken.attempt, away=away)
        if after is None:
            await self._give_up(taken, report, error)
            return None
        _log.warning("report_put_off", report=report.report_id, attempt=taken.attempt, error=type(error).__name__)
        self.counts.later += 1
        await taken.later(after)
        return after if away else None

    async def _give_up(self, taken: Taken, report: Report | None, error: Exception) -> None:
        if report is None:
            # What it says of itself may be anything; the same one is the same row when it comes again.
            name = hashlib.sha256(taken.body).hexdigest()[:_NAME_DIGITS]
            org_id, device_id, report_id = _UNKNOWN, _UNKNOWN, f"rep_{name}"
        else:
            org_id, device_id = report.principal.org_id, report.principal.device_id
            report_id = report.report_id
        code, sentence = why(error)
        dead = DeadReport(org_id, report_id, device_id, self.ground.wall.now(), code, sentence)
        try:
            kept = await self.ground.dead.keep(dead, taken.body)
        except (DatabaseUnavailableError, DBAPIError, OSError):
            await taken.later(retry_after(taken.attempt, away=True) or timedelta(seconds=1))
            raise
        unforeseen = None if isinstance(error, Refusal) else error
        _log.error("report_given_up", report=report_id, org=org_id, code=code, kept=kept, exc_info=unforeseen)
        self.counts.dead += 1
        self.counts.lost += not kept
        await taken.done()


def is_away(error: Exception) -> bool:
    """Whether it is the database that could not be asked, rather than the report that could not be stored."""
    return isinstance(error, DatabaseUnavailableError | OSError | TimeoutError | OperationalError | InterfaceError)

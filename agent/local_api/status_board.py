"""Gathers what the status is made of, from whoever knows it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.domain.errors import BucklerError
from agent.domain.health import HealthIssue
from agent.domain.ports import Clock, Outbox, Settings, Store
from agent.domain.retention import HeldFile, RetentionLimits, plan_retention
from agent.domain.scan_age import COUNTED_FROM, ScanAge
from agent.domain.schedule import ScanKind, finished_setting
from agent.local_api.status import (
    EngineFacts,
    LicenceFacts,
    OutboxFacts,
    PolicyFacts,
    RealtimeFacts,
    ResourceFacts,
    ScheduleFacts,
    StatusFacts,
    StatusField,
    VaultFacts,
    status_fields,
)
from agent.platform.processes.costs import CostMeter
from agent.platform.system_facts import competitors

#: Looking through all processes costs milliseconds; it is done this often at most.
_COMPETITORS_FOR_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class StatusSources:
    """Who is asked, each time anew.

    Attributes:
        licence: What this device is entitled to; asked in another thread, since it looks into the store.
        realtime: How protection is.
        engine: What scans.
        issues: What stands between this device and the word "protected".
        policy_version: In force.
        worker_pids: Processes whose cost counts as ours.
        resources: What became of the limits on what we use.
        retention: How much the vault keeps.
        schedule: Scans that nobody asked for.
        policy: What the organisation sets.
        not_reported_because: Why the last report of detections failed; None: it did not.
    """

    licence: Callable[[], LicenceFacts]
    realtime: Callable[[], RealtimeFacts]
    engine: Callable[[], EngineFacts]
    issues: Callable[[], tuple[HealthIssue, ...]]
    policy_version: Callable[[], str]
    worker_pids: Callable[[], frozenset[int]]
    resources: Callable[[], ResourceFacts]
    retention: RetentionLimits
    schedule: Callable[[], ScheduleFacts] = ScheduleFacts
    policy: Callable[[], PolicyFacts] = PolicyFacts
    not_reported_because: Callable[[], BucklerError | None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Observed:
    """What the rooms said of themselves, at one moment."""

    realtime: RealtimeFacts
    engine: EngineFacts
    issues: tuple[HealthIssue, ...]
    policy_version: str
    resources: ResourceFacts
    schedule: ScheduleFacts
    policy: PolicyFacts
    not_reported_because: BucklerError | None


class StatusBoard:
    """The status at any moment.

    The rooms are asked on the event loop's thread, where they live; the database and the process table, which may
    make us wait, in another.

    Args:
        store: Counts and dates that outlive a restart.
        clock: Ages.
        sources: Everything else.
        app_version: Of this agent.
    """

    def __init__(self, store: Store, clock: Clock, sources: StatusSources, app_version: str) -> None:
        self._store = store
        self._clock = clock
        self._sources = sources
        self._app_version = app_version
        self._meter = CostMeter()
        self._competitors: tuple[str, ...] = ()
        self._competitors_until_ns = 0

    async def fields(self) -> tuple[StatusField, ...]:
        """The lines of the status."""
        return status_fields(await self.facts(), self._clock.now())

    async def facts(self) -> StatusFacts:
        """Everything that is known, gathered now."""
        sources = self._sources
        observed = _Observed(
            sources.realtime(),
            sources.engine(),
            sources.issues(),
            sources.policy_version(),
            sources.resources(),
            sources.schedule(),
            sources.policy(),
            sources.not_reported_because(),
        )
        return await asyncio.to_thread(self._complete, observed, sources.worker_pids())

    def _complete(self, observed: _Observed, worker_pids: frozenset[int]) -> StatusFacts:
        with self._store.transaction() as tables:
            held, outbox = tables.journal.held(), _outbox_facts(tables.outbox, observed.not_reported_because)
            scans = _scan_age(tables.settings, observed.schedule.limit_days, self._clock.now())
        cost = self._meter.measure(worker_pids)
        return StatusFacts(
            issues=(*observed.issues, *scans.issues(self._clock.now())),
            licence=self._sources.licence(),
            realtime=observed.realtime,
            engine=observed.engine,
            app_version=self._app_version,
            vault=vault_facts(held, self._sources.retention, self._clock.now()),
            outbox=outbox,
            policy_version=observed.policy_version,
            competitors=self._find_competitors(),
            scans=scans,
            cpu_percent=cost.cpu_percent,
            memory_mb=cost.memory_mb,
            resources=observed.resources,
            schedule=observed.schedule,
            policy=observed.policy,
        )

    def _find_competitors(self) -> tuple[str, ...]:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._competitors_until_ns:
            self._competitors = competitors()
            self._competitors_until_ns = now_ns + _COMPETITORS_FOR_NS
        return self._competitors


def vault_facts(held: Sequence[HeldFile], limits: RetentionLimits, now: datetime) -> VaultFacts:
    """What the vault holds and what will go from it."""
    pending = plan_retention(held, limits, now).pending
    return VaultFacts(
        files=len(held),
        size_bytes=sum(file.size_bytes for file in held),
        leaving=len(pending),
        leaving_bytes=sum(item.size_bytes for item in pending),
        leaving_from=pending[0].due_at if pending else None,
    )


def _outbox_facts(outbox: Outbox, failure: BucklerError | None) -> OutboxFacts:
    pending, aside, dropped = outbox.count(), outbox.aside(), tuple(sorted(outbox.dropped().items()))
    # That the rows which failed have gone in another way, dropped for newer ones say, the sender learns late.
    if failure is None or not pending:
        return OutboxFacts(pending, aside, dropped)
    return OutboxFacts(pending, aside, dropped, f"{failure.code}: {failure.message}", failure.next_step)


def _scan_age(settings: Settings, limit_days: int, now: datetime) -> ScanAge:
    counted_from = _date(settings, COUNTED_FROM)
    if counted_from is None:
        # Nobody's first days with Buckler are a scan that is overdue.
        settings.put(COUNTED_FROM, now.isoformat())
    quick, full = (_date(settings, finished_setting(kind)) for kind in (ScanKind.QUICK, ScanKind.FULL))
    return ScanAge(quick, full, counted_from or now, limit_days)


def _date(settings: Settings, name: str) -> datetime | None:
    text = settings.get(name)
    return datetime.fromisoformat(text) if text else None

"""Gathers what the status is made of, from whoever knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent.domain.health import HealthIssue
from agent.domain.ports import Clock, Settings, Store
from agent.local_api.status import EngineFacts, LicenceFacts, RealtimeFacts, StatusFacts, StatusField, status_fields
from agent.platform.system_facts import CostMeter, ProcessCost, competitors

#: Settings of the store: when the last scan of each kind ended.
LAST_QUICK_SCAN = "last_quick_scan"
LAST_FULL_SCAN = "last_full_scan"
#: Looking through all processes costs milliseconds; it is done this often at most.
_COMPETITORS_FOR_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class StatusSources:
    """Who is asked, each time anew.

    Attributes:
        licence: What this device is entitled to.
        realtime: How protection is.
        engine: What scans.
        issues: What stands between this device and the word "protected".
        policy_version: In force.
        worker_pids: Processes whose cost counts as ours.
    """

    licence: Callable[[], LicenceFacts]
    realtime: Callable[[], RealtimeFacts]
    engine: Callable[[], EngineFacts]
    issues: Callable[[], tuple[HealthIssue, ...]]
    policy_version: Callable[[], str]
    worker_pids: Callable[[], frozenset[int]]


class StatusBoard:
    """The status at any moment. May be asked from any thread.

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

    def fields(self) -> tuple[StatusField, ...]:
        """The lines of the status, with what the agent costs."""
        cost = self._meter.measure(self._sources.worker_pids())
        return status_fields(self.facts(cost, self._find_competitors()), self._clock.now())

    def facts(self, cost: ProcessCost = ProcessCost(0.0, 0.0), found: tuple[str, ...] = ()) -> StatusFacts:  # noqa: B008 -- a frozen value
        """Everything that is known, gathered now."""
        sources = self._sources
        with self._store.transaction() as tables:
            quarantined, pending = tables.journal.retained().count, tables.outbox.count()
            quick, full = _date(tables.settings, LAST_QUICK_SCAN), _date(tables.settings, LAST_FULL_SCAN)
        return StatusFacts(
            issues=sources.issues(),
            licence=sources.licence(),
            realtime=sources.realtime(),
            engine=sources.engine(),
            app_version=self._app_version,
            quarantined_count=quarantined,
            outbox_pending=pending,
            policy_version=sources.policy_version(),
            competitors=found,
            last_quick_scan=quick,
            last_full_scan=full,
            cpu_percent=cost.cpu_percent,
            memory_mb=cost.memory_mb,
        )

    def _find_competitors(self) -> tuple[str, ...]:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._competitors_until_ns:
            self._competitors = competitors()
            self._competitors_until_ns = now_ns + _COMPETITORS_FOR_NS
        return self._competitors


def _date(settings: Settings, name: str) -> datetime | None:
    text = settings.get(name)
    return datetime.fromisoformat(text) if text else None

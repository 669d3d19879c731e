"""What monitoring asks a server: is it alive, can it serve, and its figures for Prometheus.

What stands in the database is counted when somebody asks, at most every few seconds, and never by going through all of
it: monitoring must not be the load that it looks for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as text_of
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.commands.rows import MOST_COUNTED
from controlplane.devices.connections import Connections
from controlplane.retention.service import RuleStanding
from controlplane.runtime.bus.port import Bus
from controlplane.runtime.clock import Clock
from controlplane.runtime.network.web import Page, Shown
from controlplane.runtime.observability.meters import CallMeters, JobMeters
from controlplane.storage.database import PoolUse

#: What the database is asked for stays good for so long.
FRESH_FOR: Final = timedelta(seconds=5)
#: A database that takes longer, in seconds, is not there.
PATIENCE_S: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work that waits in the database.

    Attributes:
        job_lag_s: Seconds for which the oldest job that is due has been so; 0: none is.
        commands: Commands that are not over, by state.
        retention: What is kept for how long.
        dead_reports: Reports of devices that could not be stored.
    """

    job_lag_s: float = 0.0
    commands: Mapping[str, int] = field(default_factory=dict)
    retention: Sequence[RuleStanding] = ()
    dead_reports: int = 0


class ServerFigures(Collector):
    """Everything that is looked up when Prometheus asks.

    Args:
        connections: Of devices.
        bus: To the replicas.
        pool: The database's connections.
        remembered: Check-ins that were answered from memory.
        contacts_waiting: Contacts that are not written yet.
    """

    def __init__(
        self,
        connections: Connections,
        bus: Bus,
        pool: Callable[[], PoolUse],
        *,
        remembered: Callable[[], int] = lambda: 0,
        contacts_waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._connections = connections
        self._bus = bus
        self._remembered = remembered
        self._pool = pool
        self._contacts_waiting = contacts_waiting
        self.backlog: Backlog | None = None

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        counts, pool = self._connections.counts, self._pool()
        yield GaugeMetricFamily("buckler_streams", "Devices connected by stream.", len(self._connections))
        yield CounterMetricFamily("buckler_streams_refused", "Streams that were not admitted.", counts.refused)
        hints = CounterMetricFamily(
            "buckler_hints",
            "Hints for devices: sent on a stream of this process, or missed because there is none here.",
            labels=["outcome"],
        )
        hints.add_metric(["sent"], counts.hinted)
        hints.add_metric(["missed"], counts.missed)
        yield hints
        yield GaugeMetricFamily("buckler_bus_connected", "1: the other replicas can be told.", self._bus.is_connected)
        yield CounterMetricFamily("buckler_bus_dropped", "Hints given up before others heard them.", self._bus.dropped)
        yield CounterMetricFamily("buckler_check_ins_remembered", "Check-ins answered from memory.", self._remembered())
        yield GaugeMetricFamily(
            "buckler_contacts_waiting", "Contacts of devices that are not written yet.", self._contacts_waiting()
        )
        used = GaugeMetricFamily("buckler_database_connections", "Of this process's pool.", labels=["state"])
        used.add_metric(["in_use"], pool.in_use)
        used.add_metric(["idle"], pool.idle)
        yield used
        yield GaugeMetricFamily("buckler_database_reachable", "1: it answered.", self.backlog is not None)
        if self.backlog is not None:
            yield GaugeMetricFamily(
                "buckler_job_lag_seconds", "How long the oldest due job has waited.", self.backlog.job_lag_s
            )
            waiting = GaugeMetricFamily(
                "buckler_commands_open", f"Commands that are not over, up to {MOST_COUNTED:,}.", labels=["state"]
            )
            for state, count in sorted(self.backlog.commands.items()):
                waiting.add_metric([state], count)
            yield waiting
            yield from _kept(self.backlog.retention)
            yield GaugeMetricFamily(
                "buckler_dead_reports", "Reports that could not be stored.", self.backlog.dead_reports
            )


def _kept(rules: Sequence[RuleStanding]) -> Iterator[Metric]:
    deleted = CounterMetricFamily("buckler_retention_deleted", "Old rows deleted, ever.", labels=["rule"])
    oldest = GaugeMetricFamily(
        "buckler_retention_oldest_seconds", "Unix time of the oldest row, when it was last looked.", labels=["rule"]
    )
    for standing in rules:
        deleted.add_metric([standing.rule.name], standing.deleted)
        if standing.oldest_at is not None:
            oldest.add_metric([standing.rule.name], standing.oldest_at.timestamp())
    yield deleted
    yield oldest


class Monitor:
    """Answers monitoring.

    Args:
        figures: Looked up when asked.
        backlog: Asks the database.
        wall: How old an answer is.
    """

    def __init__(self, figures: ServerFigures, backlog: Callable[[], Awaitable[Backlog]], wall: Clock) -> None:
        self.registry = CollectorRegistry()
        self._figures = figures
        self._backlog = backlog
        self._wall = wall
        self._asked_at: datetime | None = None
        self._leaving = False
        self.registry.register(figures)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.calls = CallMeters(self.registry)
        self.jobs = JobMeters(self.registry)

    def pages(self) -> tuple[Page, ...]:
        """What is served."""
        return Page("/livez", self._alive), Page("/readyz", self._ready), Page("/metrics", self._metrics)

    def leave(self) -> None:
        """From now on say that this server is not ready, so that nobody new is sent here."""
        self._leaving = True

    async def _alive(self) -> Shown:
        return Shown(200, "text/plain; charset=utf-8", b"alive\n")

    async def _ready(self) -> Shown:
        if self._leaving:
            return Shown(503, "text/plain; charset=utf-8", b"stopping\n")
        await self._look()
        if self._figures.backlog is None:
            return Shown(503, "text/plain; charset=utf-8", b"the database does not answer\n")
        return Shown(200, "text/plain; charset=utf-8", b"ready\n")

    async def _metrics(self) -> Shown:
        await self._look()
        return Shown(200, CONTENT_TYPE_LATEST, text_of(self.registry))

    async def _look(self) -> None:
        now = self._wall.now()
        if self._asked_at is not None and self._asked_at <= now < self._asked_at + FRESH_FOR:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._figures.backlog = await self._backlog()
        # Supervision point: monitoring has to say that the database is away, not to fall with it.
        except Exception as error:  # noqa: BLE001
            _log.warning("monitoring_failed", error=type(error).__name__)
            self._figures.backlog = None
            return
        self._asked_at = now

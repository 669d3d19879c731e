"""Builds what takes the reports of devices, as the installation was configured."""

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controlplane.app import ControlPlane
from controlplane.config import BusConfig
from controlplane.detections.buffered_intake import BufferedIntake, IntakeCounts, IntakeGround
from controlplane.detections.dead_reports import DeadReports

#: Of the stream in JetStream.
STREAM: Final = "BUCKLER_DETECTIONS"


async def buffer_of(config: BusConfig, plane: ControlPlane) -> BufferedIntake | None:
    """What buffers reports; None: they go straight into the database.

    Raises:
        Refusal: JETSTREAM_OFF.
    """
    if not config.buffer_detections:
        return None
    # Late: an optional library; that it is there was found out by the bus.
    from controlplane.runtime.bus.jetstream import JetStreamQueue

    queue = JetStreamQueue(config.url, STREAM)
    await queue.check()
    ground = IntakeGround(
        queue=queue,
        detections=plane.findings.detections,
        dead=dead_reports_of(plane),
        sealer=plane.keys.sealer,
        times=plane.times,
        wall=plane.clocks.wall,
        randomness=plane.randomness,
    )
    return BufferedIntake(ground)


def dead_reports_of(plane: ControlPlane) -> DeadReports:
    """What could not be stored."""
    return DeadReports(plane.database, plane.findings.detections, plane.keys.sealer, plane.times)


class IntakeFigures(Collector):
    """What monitoring is told of a buffer, also while the database is away."""

    def __init__(self, counts: IntakeCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        counts = self._counts
        reports = CounterMetricFamily("buckler_reports", "Reports of devices, by what became of them.", labels=["how"])
        for how in ("buffered", "straight", "stored", "later", "dead", "lost"):
            reports.add_metric([how], getattr(counts, how))
        yield reports
        yield GaugeMetricFamily(
            "buckler_report_lag_seconds", "Between taking and storing the newest stored report.", counts.lag_s
        )
        yield GaugeMetricFamily("buckler_buffer_reachable", "1: the buffer answered.", counts.queue is not None)
        if counts.queue is not None:
            waiting = GaugeMetricFamily("buckler_buffer_reports", "Reports in the buffer.", labels=["state"])
            waiting.add_metric(["waiting"], counts.queue.waiting)
            waiting.add_metric(["under_way"], counts.queue.under_way)
            yield waiting

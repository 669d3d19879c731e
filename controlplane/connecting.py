"""Builds what connects devices to this process, and this process to its replicas; called by `serving` and `app`."""

from collections.abc import Mapping

from controlplane.config import BusConfig
from controlplane.devices.connections import Connections, StreamSettings
from controlplane.devices.news_watch import NewsWatch
from controlplane.devices.stream import DeviceStreams, StreamGround
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.bus.port import Bus, Hint
from controlplane.runtime.bus.postgresql import postgresql_bus
from controlplane.runtime.clock import Clock
from controlplane.runtime.observability.tracing import NoTracing, Tracing
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.database import Database
from controlplane.storage.news import News


def pass_news_on(database: Database, bus: Bus, watch: NewsWatch) -> None:
    """From now on the news of this process go to every replica, and to whatever this one remembers."""

    def tell(news: Mapping[News, bool]) -> None:
        for each, hint in news.items():
            if hint:
                bus.publish(Hint(each.org_id, each.device_id))
            else:
                watch.noted(each)

    bus.subscribe(watch.heard)
    database.listen(tell)


def bus_of(config: BusConfig, database_url: str) -> Bus:
    """As the installation was configured.

    Raises:
        Refusal: NATS_NOT_INSTALLED.
    """
    if config.kind == "postgresql":
        return postgresql_bus(database_url)
    if config.kind != "nats":
        return MemoryBus()
    try:
        # Late: an optional library.
        from controlplane.runtime.bus.nats import nats_bus
    except ModuleNotFoundError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "NATS_NOT_INSTALLED",
            "replicas tell each other through NATS, but its library is not installed",
            "Install it: pip install 'buckler[nats]'",
        ) from error
    return nats_bus(config.url)


def tracing_of(collector: str | None, database: Database) -> Tracing:
    """As the installation was configured.

    Args:
        collector: See `ServerConfig.collector`.
        database: Whose statements are counted.

    Raises:
        Refusal: TELEMETRY_NOT_INSTALLED.
    """
    if collector is None:
        return NoTracing()
    try:
        # Late: an optional library.
        from controlplane.runtime.observability.telemetry import telemetry
    except ModuleNotFoundError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "TELEMETRY_NOT_INSTALLED",
            "calls and jobs are to be followed with OpenTelemetry, but its library is not installed",
            "Install it: pip install 'buckler[otel]'; or take [telemetry] and OTEL_EXPORTER_OTLP_ENDPOINT away",
        ) from error
    tracing = telemetry(collector)
    tracing.watch(database.engine.sync_engine)
    return tracing


def build_streams(
    ground: StreamGround, *, bus: Bus, news: NewsWatch, settings: StreamSettings, wall: Clock, randomness: Randomness
) -> DeviceStreams:
    """Streams that hear what the bus says, and what it loses."""
    connections = Connections(settings, wall, randomness)

    def tell(hint: Hint) -> None:
        connections.hint(hint.org_id, hint.device_id)

    bus.subscribe(tell)
    news.listen(tell)
    return DeviceStreams(ground, connections=connections, settings=settings, wall=wall)

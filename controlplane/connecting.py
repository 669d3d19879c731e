"""Builds what connects devices to this process, and this process to its replicas; called by `serving` and `app`."""

from controlplane.config import BusConfig
from controlplane.devices.connections import Connections, StreamSettings
from controlplane.devices.ports import CommandCalls
from controlplane.devices.stream import Check, DeviceStreams
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.bus.port import Bus, Hint
from controlplane.runtime.bus.postgresql import postgresql_bus
from controlplane.runtime.clock import Clock
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.tracing import NoTracing, Tracing
from controlplane.storage.database import Database


class BusNudges:
    """Tells devices by the bus; port `controlplane.commands.ports.Nudges`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def nudge(self, org_id: str, device_id: str) -> None:
        """Whichever replica it is connected to."""
        self._bus.publish(Hint(org_id, device_id))


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
        from controlplane.runtime.telemetry import telemetry
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
    *,
    bus: Bus,
    check: Check,
    commands: CommandCalls,
    settings: StreamSettings,
    wall: Clock,
    randomness: Randomness,
) -> DeviceStreams:
    """Streams that hear what the bus says."""
    connections = Connections(settings, wall, randomness)
    bus.subscribe(lambda hint: connections.hint(hint.org_id, hint.device_id))
    return DeviceStreams(check=check, commands=commands, connections=connections, settings=settings, wall=wall)

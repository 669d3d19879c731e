"""Serves an installation: checks that it can be served, starts both ports, runs its jobs, stops cleanly."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from controlplane import app, listeners
from controlplane.commands.rows import open_counts
from controlplane.commands.rpc import CommandExchangeRpc
from controlplane.config import ServerConfig
from controlplane.connecting import build_streams, bus_of, tracing_of
from controlplane.detections.buffered_intake import BufferedIntake
from controlplane.detections.dead_reports import count_dead
from controlplane.devices.connections import Connections, StreamSettings
from controlplane.devices.stream import DeviceStreams, StreamGround
from controlplane.intake import IntakeFigures, buffer_of
from controlplane.job_handlers import arm_jobs, job_runner, outward_runner
from controlplane.licensing.rpc import EnrollmentSettings
from controlplane.monitoring import Backlog, Monitor, ServerFigures
from controlplane.retention.rules import Periods
from controlplane.retention.service import standings_of
from controlplane.runtime.jobs.board import lag
from controlplane.runtime.jobs.runner import JobRunner, RunReport
from controlplane.runtime.network.balanced import Network, Origins, start_balanced
from controlplane.runtime.network.server import Address, start_server
from controlplane.runtime.network.web import Hook, Page, start_web
from controlplane.runtime.observability.call_log import CallLog
from controlplane.runtime.observability.meters import MeterInterceptor
from controlplane.runtime.observability.tracing import Tracing
from controlplane.runtime.randomness import new_id
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.sandbox import SandboxDesk
from controlplane.storage.database import Database
from controlplane.storage.schema import current_revision, newest_revision


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        listen: The port of people and of activations.
        device_listen: The port of activated devices; None: the next one on the same host.
        web_listen: The port of the payment provider's webhooks; None: none.
        check_in_interval_s: Seconds between check-ins that devices are asked to keep to.
        monitor_listen: The port of health and metrics; None: none.
        streams: Times and limits of the devices' streams.
        balancers: Who writes the PROXY protocol before connections to the port of people.
        announce: Where devices are told to connect to, e.g. `fleet.example.com:443`; None: the host that they asked, at
            the port of devices.
        log_every_call: A line in the log for each, also for those that go well.
        drain_s: Seconds for which a server that is told to stop says that it is not ready, and serves on.
    """

    listen: Address
    device_listen: Address | None
    web_listen: Address | None
    check_in_interval_s: int
    monitor_listen: Address | None = None
    streams: StreamSettings = field(default_factory=StreamSettings)
    balancers: tuple[Network, ...] = ()
    announce: str | None = None
    log_every_call: bool = False
    drain_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A control plane whose database fits this code, the runner of its jobs, and who moves sandboxes.

    Attributes:
        periods: How long what grows is kept.
    """

    plane: app.ControlPlane
    runner: JobRunner
    sandbox: SandboxDesk
    periods: Periods


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a control plane answers.

    Attributes:
        tls: People and activations.
        mtls: Activated devices.
        web: Webhooks; None: they are not taken.
        monitor: Health and metrics; None: nobody asks.
    """

    tls: Address
    mtls: Address
    web: Address | None
    monitor: Address | None = None

    def __str__(self) -> str:
        more = {"web": self.web, "monitor": self.monitor}
        listed = "".join(f" {name}={address}" for name, address in more.items() if address is not None)
        return f"serving tls={self.tls} mtls={self.mtls}{listed}"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a process that serves has besides the plane.

    Attributes:
        streams: Of devices.
        buffer: Takes what devices report before the database does; None: nothing does.
        tracing: Follows calls and jobs.
        monitor: What monitoring is told.
    """

    streams: DeviceStreams
    buffer: BufferedIntake | None
    tracing: Tracing
    monitor: Monitor


async def serve(
    config: ServerConfig, options: ServeOptions, *, stop: asyncio.Event, ready: Callable[[Serving], None]
) -> None:
    """Serve until `stop` is set.

    Args:
        config: The installation.
        options: How.
        stop: Set by a signal.
        ready: Told once every port answers.

    Raises:
        Refusal: SCHEMA_OUTDATED, SCHEMA_NEWER, JETSTREAM_OFF, TELEMETRY_NOT_INSTALLED, PORT_IN_USE, LISTEN_FORBIDDEN,
            LISTEN_FAILED, or what is wrong with a key file.
    """
    async with opened(config) as server, AsyncExitStack() as running:
        await arm_jobs(server.plane)
        parts = await _parts(config, server, options, running)
        runners = _runners(server, parts)
        ready(await _start(server, options, parts, running))
        async with asyncio.TaskGroup() as tasks:
            endless = [tasks.create_task(each) for each in _endless(server.plane, parts, runners)]
            await stop.wait()
            parts.monitor.leave()
            await asyncio.sleep(options.drain_s)
            for task in endless:
                task.cancel()


async def _parts(config: ServerConfig, server: Opened, options: ServeOptions, running: AsyncExitStack) -> _Parts:
    plane = server.plane
    tracing = tracing_of(config.collector, plane.database)
    running.callback(tracing.finish)
    # Last of all: no contact comes any more.
    running.push_async_callback(plane.fleet.freshness.finish)
    buffer = await buffer_of(config.bus, plane)
    ground = StreamGround(
        check=plane.devices.check,
        seen=plane.fleet.remembered.seen,
        commands=CommandExchangeRpc(plane.commands),
        time_of=plane.times.of,
    )
    streams = build_streams(
        ground,
        bus=plane.bus,
        news=plane.fleet.news,
        settings=options.streams,
        wall=plane.clocks.wall,
        randomness=plane.randomness,
    )
    await running.enter_async_context(streams.running())
    monitor = _monitor(plane, streams.connections, server.periods)
    if buffer is not None:
        monitor.registry.register(IntakeFigures(buffer.counts))
    return _Parts(streams, buffer, tracing, monitor)


def _runners(server: Opened, parts: _Parts) -> Sequence[JobRunner]:
    runners = server.runner, outward_runner(server.plane)
    for runner in runners:
        runner.watch(parts.monitor.jobs.around, parts.monitor.jobs.parked)
        runner.watch(parts.tracing.job)
    return runners


def _endless(
    plane: app.ControlPlane, parts: _Parts, runners: Sequence[JobRunner]
) -> Iterator[Coroutine[object, object, None]]:
    """What goes on beside the calls."""
    for runner in runners:
        yield runner.run_forever()
    yield plane.fleet.freshness.run_forever()
    yield plane.fleet.news.run_forever()
    yield parts.streams.connections.run_forever()
    yield plane.bus.run()
    if parts.buffer is not None:
        yield parts.buffer.run()


async def _start(server: Opened, options: ServeOptions, parts: _Parts, running: AsyncExitStack) -> Serving:
    """Start every port; each is stopped with `running`, the last one first."""
    plane, origins = server.plane, Origins()
    around = (
        MeterInterceptor(parts.monitor.calls),
        listeners.interceptor(plane, origins, CallLog(every_call=options.log_every_call), parts.tracing),
    )
    listener = listeners.device_listener(
        plane,
        options.device_listen or _next_port(options.listen),
        streams=parts.streams,
        check_in_interval_s=options.check_in_interval_s,
        intake=parts.buffer,
    )
    devices = await start_server(listener, *around)
    running.push_async_callback(devices.stop)
    # Before the port: it waits for calls in flight, and a stream would be one for minutes.
    running.callback(parts.streams.connections.stop)
    web = await _start_web(plane, options.web_listen, running, hooks=listeners.web_hooks(plane))
    watched = await _start_web(plane, options.monitor_listen, running, pages=parts.monitor.pages())
    enrollment = EnrollmentSettings(
        check_in_interval_s=options.check_in_interval_s,
        device_address=options.announce or f":{devices.address.port}",
    )
    listener = listeners.people_listener(plane, options.listen, enrollment=enrollment, sandbox=server.sandbox)
    people = (
        await start_balanced(listener, options.balancers, origins, *around)
        if options.balancers
        else await start_server(listener, *around)
    )
    running.push_async_callback(people.stop)
    return Serving(people.address, devices.address, web, watched)


async def _start_web(
    plane: app.ControlPlane,
    address: Address | None,
    running: AsyncExitStack,
    *,
    hooks: Sequence[Hook] = (),
    pages: Sequence[Page] = (),
) -> Address | None:
    if address is None:
        return None
    web = await start_web(address, hooks, plane.randomness, pages=pages)
    running.push_async_callback(web.stop)
    return web.address


def _monitor(plane: app.ControlPlane, connections: Connections, periods: Periods) -> Monitor:
    async def backlog() -> Backlog:
        async with plane.database.reading() as connection:
            waited = await lag(connection, plane.clocks.business.now(), plane.clocks.wall.now())
            rules = await standings_of(connection, periods)
            commands, dead = await open_counts(connection), await count_dead(connection)
            return Backlog(waited.total_seconds(), commands, rules, dead)

    remembered, freshness = plane.fleet.remembered, plane.fleet.freshness
    figures = ServerFigures(
        connections,
        plane.bus,
        plane.database.pool_use,
        remembered=lambda: remembered.answered,
        contacts_waiting=lambda: freshness.waiting,
    )
    return Monitor(figures, backlog, plane.clocks.wall)


async def run_jobs(config: ServerConfig, until: datetime | None) -> RunReport:
    """Run what is due, without serving.

    Args:
        config: The installation.
        until: Only what was due then; None: now. To a sandbox, everything as far ahead as it is.

    Raises:
        Refusal: JOBS_IN_THE_FUTURE, and as `serve`.
    """
    async with opened(config) as server:
        now = server.plane.clocks.wall.now()
        if until is not None and until > now:
            raise Refusal(
                Kind.PRECONDITION,
                "JOBS_IN_THE_FUTURE",
                f"it is {now.isoformat(timespec='seconds')}: jobs of the future run only in a sandbox",
                "Leave --until out; or name a sandbox with --org",
            )
        await arm_jobs(server.plane)
        return await server.runner.run_until(until or now)


async def move_sandbox(config: ServerConfig, org_id: str, until: datetime) -> RunReport:
    """Take a sandbox forward in time, without serving.

    Args:
        config: The installation.
        org_id: Which.
        until: How far.

    Raises:
        Refusal: As `SandboxDesk.advance` and `serve`.
    """
    run = failed = 0
    async with opened(config) as server:
        await arm_jobs(server.plane)
        while True:
            moved = await server.sandbox.advance(org_id, until)
            run, failed = run + moved.run, failed + moved.failed
            if moved.reached:
                return RunReport(run, failed)


@asynccontextmanager
async def opened(config: ServerConfig) -> AsyncIterator[Opened]:
    """Open the database and build the plane on it.

    Raises:
        Refusal: SCHEMA_OUTDATED, SCHEMA_NEWER, NATS_NOT_INSTALLED, or what is wrong with a key file.
    """
    keys = app.load_keys(config.data_dir.keys)
    commerce = app.commerce_of(config.billing, app.mail_of(config.mail, config.data_dir.mail))
    bus = bus_of(config.bus, config.database_url)
    database = Database(config.database_url)
    try:
        await check_schema(database)
        plane = app.build(database, keys, app.system_clocks(), commerce, bus)
        owner = new_id(plane.randomness, "srv")
        runner = job_runner(plane, owner, config.periods)
        desk = SandboxDesk(
            database=database,
            wall=plane.clocks.wall,
            times=plane.times,
            runner=runner,
            owner=owner,
            live_money=config.billing.moves_real_money,
        )
        yield Opened(plane, runner, desk, config.periods)
    finally:
        await database.close()


async def check_schema(database: Database) -> None:
    """Refuse a database that this code does not fit.

    Raises:
        Refusal: SCHEMA_OUTDATED or SCHEMA_NEWER.
    """
    current, newest = await current_revision(database), newest_revision()
    if current == newest:
        return
    facts = {"database": current or "none", "program": newest}
    if current is not None and current > newest:
        raise Refusal(
            Kind.ENVIRONMENT,
            "SCHEMA_NEWER",
            f"the database has schema {current}, this program knows {newest}: a newer server has used it",
            "Install that newer version; going back needs the back-up made before the upgrade",
            facts=facts,
        )
    raise Refusal(
        Kind.ENVIRONMENT,
        "SCHEMA_OUTDATED",
        f"the database has schema {current or 'none'}, this program needs {newest}",
        "Make a back-up, then run: buckler-server migrate",
        facts=facts,
    )


def _next_port(address: Address) -> Address:
    return replace(address, port=0 if address.port == 0 else address.port + 1)

"""Serves an installation: checks that it can be served, starts both ports, runs its jobs, stops cleanly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controlplane import app
from controlplane.config import ServerConfig
from controlplane.job_handlers import job_runner, outward_runner
from controlplane.licensing.rpc import EnrollmentSettings
from controlplane.runtime.clock import ShiftedClock
from controlplane.runtime.jobs import AdvanceReport, JobRunner
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.sandbox import SandboxClock, stored_offset
from controlplane.runtime.sandbox_rpc import SandboxRpc
from controlplane.runtime.server import Address, start_server
from controlplane.runtime.web import start_web
from controlplane.storage.database import Database
from controlplane.storage.schema import current_revision, newest_revision


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        listen: The port of people and of activations.
        device_listen: The port of activated devices; None: the next one on the same host.
        web_listen: The port of the payment provider's webhooks; None: none.
        demo: Whether people may move the business clock.
        check_in_interval_s: Seconds between check-ins that devices are asked to keep to.
    """

    listen: Address
    device_listen: Address | None
    web_listen: Address | None
    demo: bool
    check_in_interval_s: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A control plane whose database fits this code, and the runner of its jobs."""

    plane: app.ControlPlane
    runner: JobRunner
    shifted: ShiftedClock | None


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a control plane answers.

    Attributes:
        tls: People and activations.
        mtls: Activated devices.
        web: Webhooks; None: they are not taken.
    """

    tls: Address
    mtls: Address
    web: Address | None

    def __str__(self) -> str:
        return f"serving tls={self.tls} mtls={self.mtls}" + ("" if self.web is None else f" web={self.web}")


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
        Refusal: SCHEMA_OUTDATED, SCHEMA_NEWER, SANDBOX_DATABASE, PORT_IN_USE, LISTEN_FORBIDDEN, LISTEN_FAILED, or what
            is wrong with a key file.
    """
    async with opened(config, demo=options.demo) as server, AsyncExitStack() as running:
        ready(await _start(server, options, running))
        async with asyncio.TaskGroup() as tasks:
            loops = [
                tasks.create_task(server.runner.run_forever()),
                tasks.create_task(outward_runner(server.plane).run_forever()),
                tasks.create_task(server.plane.fleet.freshness.run_forever()),
            ]
            await stop.wait()
            for loop in loops:
                loop.cancel()


async def _start(server: Opened, options: ServeOptions, running: AsyncExitStack) -> Serving:
    """Start every port; each is stopped with `running`, the last one first."""
    plane, around = server.plane, app.interceptor(server.plane)
    # Last of all: no contact comes any more.
    running.push_async_callback(plane.fleet.freshness.finish)
    device_address = options.device_listen or _next_port(options.listen)
    devices = await start_server(
        app.device_listener(plane, device_address, check_in_interval_s=options.check_in_interval_s), around
    )
    running.push_async_callback(devices.stop)
    web = None
    if options.web_listen is not None:
        web = await start_web(options.web_listen, app.web_hooks(plane), plane.randomness)
        running.push_async_callback(web.stop)
    enrollment = EnrollmentSettings(
        check_in_interval_s=options.check_in_interval_s, device_address=f":{devices.address.port}"
    )
    sandbox = None if server.shifted is None else SandboxRpc(server.shifted, server.runner)
    people = await start_server(
        app.people_listener(plane, options.listen, enrollment=enrollment, sandbox=sandbox), around
    )
    running.push_async_callback(people.stop)
    return Serving(people.address, devices.address, None if web is None else web.address)


async def run_jobs(config: ServerConfig, until: datetime | None) -> AdvanceReport:
    """Run what is due, without serving.

    Args:
        config: The installation.
        until: None: now. A future instant moves the clock of a demonstration there; nobody else's clock is moved.

    Raises:
        Refusal: JOBS_IN_THE_FUTURE, and as `serve`.
    """
    async with opened(config, demo=None) as server:
        now = server.plane.clocks.business.now()
        if until is not None and until > now and server.shifted is None:
            raise Refusal(
                Kind.PRECONDITION,
                "JOBS_IN_THE_FUTURE",
                f"it is {now.isoformat(timespec='seconds')}: jobs of the future run only in a demonstration",
                "Leave --until out, or use an installation that was served with --demo",
            )
        return await server.runner.advance_to(until or now)


@asynccontextmanager
async def opened(config: ServerConfig, *, demo: bool | None = None) -> AsyncIterator[Opened]:
    """Open the database and build the plane on it.

    Args:
        config: The installation.
        demo: None: a demonstration if it was one before.

    Raises:
        Refusal: SCHEMA_OUTDATED, SCHEMA_NEWER, SANDBOX_DATABASE, or what is wrong with a key file.
    """
    keys = app.load_keys(config.data_dir.keys)
    commerce = app.commerce_of(config.billing, app.mail_of(config.mail, config.data_dir.mail))
    database = Database(config.database_url)
    try:
        await check_schema(database)
        async with database.reading() as connection:
            offset = await stored_offset(connection)
        if demo is False and offset:
            raise _moved_clock(offset)
        is_demo = offset is not None if demo is None else demo
        if not is_demo:
            plane = app.build(database, keys, app.system_clocks(), commerce)
            yield Opened(plane, await job_runner(plane), None)
            return
        clocks, shifted = app.sandbox_clocks(offset or timedelta(0))
        sandbox = SandboxClock(database, shifted)
        await sandbox.mark()
        plane = app.build(database, keys, clocks, commerce)
        yield Opened(plane, await job_runner(plane, sandbox.move_to), shifted)
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


def _moved_clock(offset: timedelta) -> Refusal:
    return Refusal(
        Kind.ENVIRONMENT,
        "SANDBOX_DATABASE",
        f"the clock of this demonstration was moved {offset.days} days ahead; in real time its rows are in the future",
        "Serve it with --demo, or make a new installation: buckler-server init",
        facts={"offset_s": str(int(offset.total_seconds()))},
    )


def _next_port(address: Address) -> Address:
    return replace(address, port=0 if address.port == 0 else address.port + 1)

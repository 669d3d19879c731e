"""`python -m benchmarks.activations`: what one core of a server does for devices, and how it finds its rows.

The real services on a real database, without the network, in this one process: new devices, devices that are asked
about again, refusals, refreshes that have nothing new to say. SQLite waits for its disk at every commit (WAL,
synchronous FULL), PostgreSQL as well (fsync on). Client and server share the process; PostgreSQL has processes of its
own. Then the query plan of every statement that an activation and a refresh send, on the tables as filled.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from controlplane.devices.model import FingerprintComponent
from controlplane.licensing.service import Activation
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import LINUX, Customer, World, principal_of
from tests.integration.postgres_server import PostgresServer, running_postgres


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table."""

    what: str
    per_second: float
    cpu_ms: float
    median_ms: float


def main() -> int:
    """Measure both databases and print tables and plans."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.activations", description="Activations per second.")
    parser.add_argument("--devices", type=int, default=1_000, metavar="N", help="activated in each measurement")
    parser.add_argument("--at-once", type=int, default=16, metavar="N", help="requests that are under way together")
    parser.add_argument("--no-plans", action="store_true", help="leave the query plans out")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with running_postgres() as server, tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        asyncio.run(_both(arguments, server, Path(scratch)))
    return 0


async def _both(arguments: argparse.Namespace, server: PostgresServer, scratch: Path) -> None:
    await _wait_for_the_disk(server)
    for name, url in (
        ("SQLite", f"sqlite+aiosqlite:///{scratch / 'server.db'}"),
        ("PostgreSQL", server.url(await server.new_database())),
    ):
        folder = scratch / name
        folder.mkdir(mode=0o700)
        async with _world(url, folder) as world:
            print(f"\n{name}, {arguments.devices} devices, {arguments.at_once} at once")
            print(f"{'':34} {'per s':>8} {'CPU ms':>8} {'median ms':>10}")
            for row in await _measure(world, arguments.devices, arguments.at_once):
                print(f"{row.what:34} {row.per_second:8.0f} {row.cpu_ms:8.2f} {row.median_ms:10.1f}", flush=True)
            if not arguments.no_plans:
                await _print_plans(world)


async def _wait_for_the_disk(server: PostgresServer) -> None:
    """The server of the tests does not; a real one must."""
    database = Database(server.url("postgres"))
    async with database.engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("ALTER SYSTEM SET fsync = on"))
        await outside.execute(text("SELECT pg_reload_conf()"))
    await database.close()


@asynccontextmanager
async def _world(url: str, folder: Path) -> AsyncIterator[World]:
    database = Database(url)
    await upgrade(database)
    yield World(database, folder)
    await database.close()


async def _measure(world: World, devices: int, at_once: int) -> list[Measured]:
    requests = [DeviceKey().certificate_request() for _ in range(devices)]
    large, full = await world.customer(seats=devices), await world.customer(seats=1)
    several = [await world.customer(seats=devices) for _ in range(at_once)]
    await world.activate(full)

    def activations(customers: Sequence[Customer]) -> Iterator[Callable[[], Awaitable[object]]]:
        for number, request in enumerate(requests):
            customer = customers[number % len(customers)]
            yield lambda customer=customer, request=request: _activate(world, customer, request)  # type: ignore[misc]

    async def refreshes() -> list[Callable[[], Awaitable[object]]]:
        found = [await _activate(world, large, request) for request in requests]
        principals = [principal_of(each) for each in found if not isinstance(each, Refusal)]
        return [lambda each=each: world.licensing.refresh(each, 1) for each in principals]  # type: ignore[misc]

    return [
        await _timed("new devices, one customer", activations([large]), at_once),
        await _timed(f"new devices, {at_once} customers", activations(several), at_once),
        await _timed("the same devices again", activations([large]), at_once),
        await _timed("refused, every seat is taken", activations([full]), at_once),
        await _timed("refresh, nothing new", iter(await refreshes()), at_once),
    ]


async def _activate(world: World, customer: Customer, request: bytes) -> Any:
    try:
        return await world.licensing.activate(Activation(customer.raw_key, request, "pc", LINUX, _evidence(request)))
    except Refusal as refusal:
        return refusal


def _evidence(request: bytes) -> frozenset[FingerprintComponent]:
    """Each device is a machine of its own."""
    kinds = ("machine_id", "board_serial", "mac_address")
    return frozenset(FingerprintComponent(kind, sha256(kind.encode() + request).digest()) for kind in kinds)


async def _timed(what: str, calls: Iterator[Callable[[], Awaitable[object]]], at_once: int) -> Measured:
    """Run every call, so many at once."""
    took: list[float] = []

    async def work() -> None:
        for call in calls:
            begin = time.perf_counter()
            await call()
            took.append(time.perf_counter() - begin)

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    return Measured(what, len(took) / wall_s, 1_000 * cpu_s / len(took), 1_000 * statistics.median(took))


# ---------------------------------------------------------------- plans


async def _print_plans(world: World) -> None:
    """One activation and one refresh, statement by statement."""
    customer = await world.customer(seats=3)
    async with world.database.transaction() as uow:
        if uow.connection.dialect.name == "postgresql":
            await uow.connection.execute(text("ANALYZE"))
    with _listening(world.database) as sent:
        activated = await _activate(world, customer, DeviceKey().certificate_request())
        await world.licensing.refresh(principal_of(activated), 1)
    print("\nplans of an activation and a refresh")
    for statement, parameters in sent.items():
        for line in await _plan(world.database, statement, parameters):
            print(f"  {' '.join(statement.split())[:70]:70}  {line}")


@contextmanager
def _listening(database: Database) -> Iterator[dict[str, Any]]:
    """Statements as they are sent, each once, with parameters of their first time."""
    sent: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            sent.setdefault(statement, parameters)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def _plan(database: Database, statement: str, parameters: Any) -> list[str]:
    sqlite = database.engine.dialect.name == "sqlite"
    many = parameters[0] if parameters and isinstance(parameters[0], tuple) else parameters
    async with database.engine.connect() as connection:
        explained = await connection.exec_driver_sql(
            ("EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN (COSTS OFF) ") + statement, tuple(many)
        )
        rows = [str(row[-1]) for row in explained]
        await connection.rollback()
    # Of PostgreSQL the nodes that read; conditions follow from the statement.
    return rows if sqlite else [row.strip(" ->") for row in rows if "Scan" in row]


if __name__ == "__main__":
    raise SystemExit(main())

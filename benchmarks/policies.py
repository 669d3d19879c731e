"""`python -m benchmarks.policies`: what policies cost a server with many devices.

The real services on a real database, without the network, in this one process. Rows of devices are written in bulk; a
tenth of them carries a label, and three policies are laid over each other. Measured are the part of a check-in that is
about policies beside a whole check-in without it, and what an admin waits for: a preview and the state of a rollout.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from sqlalchemy import insert

from controlplane.devices.model import DeviceReport
from controlplane.devices.tables import devices
from controlplane.policies.delivery import PolicyDelivery
from controlplane.policies.model import Assignment, Selector, Stage
from controlplane.policies.rows import Report
from controlplane.policies.service import Change, PolicyService
from controlplane.policies.tables import device_labels
from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade
from tests.fakes.world import Customer, World, principal_of
from tests.integration.postgres_server import running_postgres
from wire.policy_document import read_toml

_AT_ONCE = 5_000
_ROUNDS = 3
_SERVERS = Assignment((Selector(labels=frozenset({"server"})),))


def main() -> int:
    """Measure both databases and print a table for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description="What policies cost.")
    parser.add_argument("--devices", type=int, default=100_000, metavar="N")
    parser.add_argument("--check-ins", type=int, default=2_000, metavar="N")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with running_postgres() as server, tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        for folder in ("one", "other"):
            Path(scratch, folder).mkdir(mode=0o700)
        asyncio.run(_on("SQLite", f"sqlite+aiosqlite:///{scratch}/server.db", Path(scratch) / "one", arguments))
        url = asyncio.run(server.new_database())
        asyncio.run(_on("PostgreSQL", server.url(url), Path(scratch) / "other", arguments))
    return 0


async def _on(name: str, url: str, folder: Path, arguments: argparse.Namespace) -> None:
    database = Database(url)
    await upgrade(database)
    world = World(database, folder)
    customer = await world.customer()
    await _fill(world, customer, arguments.devices)
    print(f"\n{name}, {arguments.devices} devices")
    service = PolicyService(database=database, registry=world.registry, audit=world.audit, clock=world.clock)
    await _check_ins(world, customer, service, arguments.check_ins)
    daily = Change(
        name="baseline",
        document=read_toml('[schedule]\nquick = "daily 12:30"'),
        stages=(Stage(5, timedelta(1)), Stage(100)),
    )
    await _print("preview of a change for everyone", lambda: service.preview(customer.org_id, daily))
    await _print("state of a rollout", lambda: service.rollout(customer.org_id, "servers"))
    await database.close()


async def _fill(world: World, customer: Customer, count: int) -> None:
    now = world.clock.now()
    rows = [
        {
            "org_id": customer.org_id,
            "device_id": f"dev_{number}",
            "public_key_sha256": sha256(str(number).encode()).digest(),
            "name": f"pc-{number}",
            **dict.fromkeys(("os", "os_version", "architecture", "agent_version"), "linux"),
            "activated_at": now,
        }
        for number in range(count)
    ]
    labels = [
        {"org_id": customer.org_id, "device_id": f"dev_{number}", "label": "server"} for number in range(0, count, 10)
    ]
    async with world.database.transaction() as uow:
        for table, all_of in ((devices, rows), (device_labels, labels)):
            for begin in range(0, len(all_of), _AT_ONCE):
                await uow.connection.execute(insert(table), all_of[begin : begin + _AT_ONCE])


async def _check_ins(world: World, customer: Customer, service: PolicyService, count: int) -> None:
    """The same device again and again: both parts read and write its rows only."""
    principal = principal_of(await world.activate(customer))
    delivery = PolicyDelivery(database=world.database, clock=world.clock)
    report = DeviceReport(
        real_time_enabled=True,
        proven_at=None,
        health_issues=(),
        signatures_made_at=None,
        events_lost=0,
        platform=None,
        raw=b"",
    )
    whole = await _cpu_ms(count, lambda: world.check_ins.take(principal, report, 1, None))
    for name, source, assignment in (
        ("baseline", '[schedule]\nquick = "daily 10:00"', Assignment((Selector(),))),
        ("servers", '[schedule]\nquick = "off"', _SERVERS),
        ("cautious", '[realtime]\naction = "report"', Assignment((Selector(),), -5)),
    ):
        await service.change(
            customer.person, Change(name=name, document=read_toml(source), assignment=assignment), f"wish-{name}"
        )
    told = await delivery.answer(principal, "", Report())
    assert told is not None
    part = await _cpu_ms(count, lambda: delivery.answer(principal, told.etag, Report()))
    print(f"{'check-in without policies':41} {whole:7.2f} ms CPU")
    print(f"{'its part about policies, nothing new':41} {part:7.2f} ms CPU", flush=True)


async def _cpu_ms(count: int, call: Callable[[], Awaitable[object]]) -> float:
    begin = time.process_time()
    for _ in range(count):
        await call()
    return 1_000 * (time.process_time() - begin) / count


async def _print(what: str, call: Callable[[], Awaitable[object]]) -> None:
    wall, cpu = [], []
    for _ in range(_ROUNDS):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        await call()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    print(
        f"{what:41} {statistics.median(cpu):7.2f} s CPU, {statistics.median(wall):.2f} s until the answer", flush=True
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m benchmarks.fleet_status`: what it costs to ask how a large fleet is.

One organisation with many devices and detections in PostgreSQL, filled by SQL; then the real services, without the
network: the summary, pages of devices at random places (all, by state, by reason), pages of detections, a check-in
that changes nothing, and the job that settles every device once. Client and services share this process.
"""

import argparse
import asyncio
import os
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy import text

from controlplane.detections.service import DetectionFilter
from controlplane.devices.fleet.overview import DeviceFilter
from controlplane.devices.model import DeviceReport, ProtectionState
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade
from controlplane.storage.types import to_microseconds
from tests.fakes.world import Customer, World
from tests.integration.postgres_server import running_postgres

#: Milliseconds; the status by its median, pages by their 95th percentile.
STATUS_UNDER, PAGE_UNDER = 100.0, 150.0
#: The detections are spread over so many days.
DAYS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table, in milliseconds; the last is processor time of this process, PostgreSQL's left out."""

    what: str
    median: float
    p95: float
    worst: float
    cpu: float


def main() -> int:
    """Fill, measure, print; 1: slower than promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet_status", description="Status of a large fleet.")
    parser.add_argument("--devices", type=int, default=100_000, metavar="N")
    parser.add_argument("--detections", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="of each question")
    arguments = parser.parse_args()
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    with running_postgres() as server, tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        name = asyncio.run(server.new_database())
        return asyncio.run(_run(arguments, server.url(name), Path(scratch)))


async def _run(arguments: argparse.Namespace, url: str, scratch: Path) -> int:
    database = Database(url)
    await upgrade(database)
    world = World(database, scratch, write_every=timedelta(days=DAYS))
    begin = time.perf_counter()
    customer = await world.customer(seats=arguments.devices)
    await _fill(world, customer, arguments.devices, arguments.detections)
    print(f"filled in {time.perf_counter() - begin:.0f} s", flush=True)
    begin = time.perf_counter()
    settled, added = await world.fleet_counters.settle(), await world.fleet_counters.add_up()
    took = time.perf_counter() - begin
    print(f"{settled} devices settled in {took:.1f} s ({settled / took:.0f}/s), {added} changes added up", flush=True)
    rows = await _measure(world, customer, arguments)
    print(f"{'':34} {'median ms':>10} {'p95 ms':>8} {'worst ms':>9} {'CPU ms':>8}")
    for row in rows:
        print(f"{row.what:34} {row.median:10.1f} {row.p95:8.1f} {row.worst:9.1f} {row.cpu:8.1f}")
    print(f"most memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    await database.close()
    slow = [row.what for row in rows if row.what.startswith("page") and row.p95 >= PAGE_UNDER]
    slow += [row.what for row in rows if row.what.startswith("status") and row.median >= STATUS_UNDER]
    for what in slow:
        print(f"slower than promised: {what}")
    return int(bool(slow))


async def _fill(world: World, customer: Customer, devices: int, detections: int) -> None:
    now = to_microseconds(world.clock.now())
    values: dict[str, str | int] = {
        "org": customer.org_id,
        "sub": customer.subscription_id,
        "now": now,
        "hour": 3_600_000_000,
        "span": DAYS * 86_400_000_000 // max(1, detections),
        "devices": devices,
        "detections": detections,
    }
    async with world.database.transaction() as uow:
        for statement in _FILLING:
            used = {name: value for name, value in values.items() if f":{name}" in statement.replace("::", "")}
            typed = statement
            for name, value in used.items():
                kind = "text" if isinstance(value, str) else "bigint"
                typed = re.sub(rf"(?<!:):{name}\b", f"CAST(:{name} AS {kind})", typed)
            await uow.connection.execute(text(typed), used)
    async with world.database.engine.connect() as connection:
        outside = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(text("VACUUM ANALYZE"))


# Of the devices, by their number modulo 100: 0 to 6 have real-time protection off, 7 to 10 are silent for an hour, 98
# and 99 were never seen; the signatures of every eighth are seven days old and a few seconds.
_FILLING = (
    """
    INSERT INTO devices (org_id, device_id, public_key_sha256, name, os, os_version, architecture, agent_version,
                         activated_at)
    SELECT :org, 'dev_' || n, sha256(n::text::bytea), 'pc-' || md5(n::text), 'linux', 'Debian GNU/Linux 12', 'x86_64',
           '1.0.0', :now FROM generate_series(1, :devices) n
    """,
    "UPDATE seats SET device_id = 'dev_' || slot_no, held_since = :now WHERE org_id = :org",
    """
    INSERT INTO device_statuses (org_id, device_id, last_seen, trusted_serial, real_time_enabled, proven_at,
                                 health_issues, signatures_made_at, events_lost, report)
    SELECT :org, 'dev_' || n, CASE WHEN n % 100 BETWEEN 7 AND 10 THEN :now - :hour ELSE :now - n % 60 * 1000000 END,
           1, n % 100 >= 7, :now, '[]', :now - n % 8 * 24 * :hour - 1000000, 0, ''::bytea
    FROM generate_series(1, :devices) n WHERE n % 100 < 98
    """,
    """
    INSERT INTO device_standings (org_id, device_id, name, subscription_id, condition, changes_at)
    SELECT d.org_id, d.device_id, d.name, :sub, CASE WHEN t.device_id IS NULL THEN 'NEVER_SEEN' ELSE '' END,
           CASE WHEN t.device_id IS NULL THEN NULL ELSE 0 END
    FROM devices d LEFT JOIN device_statuses t ON t.org_id = d.org_id AND t.device_id = d.device_id
    WHERE d.org_id = :org
    """,
    """
    INSERT INTO fleet_counts (org_id, subscription_id, condition, devices)
    SELECT org_id, subscription_id, condition, count(*) FROM device_standings WHERE org_id = :org
    GROUP BY org_id, subscription_id, condition
    """,
    """
    INSERT INTO detections (org_id, uuid, device_id, detected_at, received_at, path, sha256, size_bytes, findings,
                            action, action_detail, origin, engine, signatures_version, quarantine_id)
    SELECT :org, decode(md5(n::text), 'hex'), 'dev_' || (1 + n % :devices), :now - n * :span, :now - n * :span,
           '/home/anna/Downloads/a.zip'::bytea, '', 1000,
           '[{"rule": "Test_File", "namespace": "test", "severity": "high", "member_path": [], "threat_name": "Test"}]',
           'quarantined', '', 'real_time', 'yara', '1', ''
    FROM generate_series(1, :detections) n
    """,
)


async def _measure(world: World, customer: Customer, arguments: argparse.Namespace) -> list[Measured]:
    org_id, random, size = customer.org_id, Random(1), 100  # noqa: S311 -- places to look at
    places = [f"pc-{random.randrange(16**8):08x}" for _ in range(arguments.rounds)]

    def pages(wanted: DeviceFilter) -> list[Callable[[], Awaitable[object]]]:
        return [lambda place=place: world.fleet.page(org_id, Page(size, (place, "")), wanted) for place in places]  # type: ignore[misc]

    now = to_microseconds(world.clock.now())
    moments = [now - random.randrange(DAYS * 86_400_000_000) for _ in places]
    found = [lambda at=at: world.detections.page(org_id, Page(size, (at, at, "")), DetectionFilter()) for at in moments]
    calls = await _quiet_calls(world, org_id, arguments.rounds)
    return [
        await _timed("status", [lambda: world.fleet.summary(org_id)] * arguments.rounds),
        await _timed("detections of the last 24 hours", [lambda: world.detections.count_recent(org_id)] * 20),
        await _timed("page of devices", pages(DeviceFilter())),
        await _timed("page of devices, protected", pages(DeviceFilter(frozenset({ProtectionState.PROTECTED})))),
        await _timed("page of devices, never seen", pages(DeviceFilter(frozenset({ProtectionState.NEVER_SEEN})))),
        await _timed("page of devices, old signatures", pages(DeviceFilter(reasons=frozenset({"SIGNATURES_OLD"})))),
        await _timed("page of detections", found),
        await _timed("check-in that changes nothing", calls),
        await _timed("writing those check-ins", [world.freshness.write]),
    ]


async def _quiet_calls(world: World, org_id: str, count: int) -> list[Callable[[], Awaitable[object]]]:
    calls: list[Callable[[], Awaitable[object]]] = []
    for number in range(11, 60 * count, 60):
        if not 11 <= number % 100 < 98:
            continue
        view = await world.fleet.get(org_id, f"dev_{number}")
        assert view.status is not None
        who = DevicePrincipal(view.device.device_id, org_id, view.device.public_key_sha256)
        calls.append(lambda who=who, report=view.status.report: _call(world, who, report))  # type: ignore[misc]
    return calls


async def _call(world: World, who: DevicePrincipal, report: DeviceReport) -> None:
    before = world.freshness.waiting
    await world.check_ins.take(who, report, 1)
    assert world.freshness.waiting == before + 1, "it changed something"


async def _timed(what: str, calls: Sequence[Callable[[], Awaitable[object]]]) -> Measured:
    """One after the other."""
    took, cpu = [], time.process_time()
    for call in calls:
        begin = time.perf_counter()
        await call()
        took.append(1_000 * (time.perf_counter() - begin))
    p95 = statistics.quantiles(took, n=20, method="inclusive")[-1] if len(took) > 1 else took[0]
    cpu_ms = 1_000 * (time.process_time() - cpu) / len(took)
    return Measured(what, statistics.median(took), p95, max(took), cpu_ms)


if __name__ == "__main__":
    raise SystemExit(main())

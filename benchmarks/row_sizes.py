"""`python -m benchmarks.row_sizes`: room that a device and a detection take in PostgreSQL, and a check-in on the wire.

The same rows as in `benchmarks.fleet_status`; indexes and dead rows of the filling are part of it, as they are in life.
"""

import argparse
import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks.fleet_status import _fill
from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade
from tests.fakes.world import World
from tests.integration.postgres_server import running_postgres
from wire.v1.common_pb2 import Platform
from wire.v1.device_pb2 import CheckInRequest, CheckInResponse, DeviceStatus

#: Rows that there are for each device.
PER_DEVICE = ("devices", "device_statuses", "device_standings", "seats")
PER_DETECTION = ("detections",)


def main() -> int:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.row_sizes", description="Room that rows take.")
    parser.add_argument("--devices", type=int, default=20_000, metavar="N")
    parser.add_argument("--detections", type=int, default=100_000, metavar="N")
    arguments = parser.parse_args()
    with running_postgres() as server, tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        name = asyncio.run(server.new_database())
        asyncio.run(_run(arguments, server.url(name), Path(scratch)))
    _print_messages()
    return 0


async def _run(arguments: argparse.Namespace, url: str, scratch: Path) -> None:
    database = Database(url)
    await upgrade(database)
    world = World(database, scratch, write_every=timedelta(days=1))
    customer = await world.customer(seats=arguments.devices)
    await _fill(world, customer, arguments.devices, arguments.detections)
    for tables, rows, what in (
        (PER_DEVICE, arguments.devices, "device"),
        (PER_DETECTION, arguments.detections, "detection"),
    ):
        sizes = [await _size(database, table) for table in tables]
        told = ", ".join(f"{table} {size / rows:.0f}" for table, size in zip(tables, sizes, strict=True))
        print(f"bytes for each {what}: {sum(sizes) / rows:.0f} ({told})")
    await database.close()


async def _size(database: Database, table: str) -> int:
    # Of a table in parts, the parts: it is nothing by itself.
    query = text(
        "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(:table) UNION ALL "
        "SELECT pg_total_relation_size(:table) ORDER BY 1 DESC NULLS LAST LIMIT 1"
    ).bindparams(table=table)
    async with database.reading() as connection:
        return int((await connection.execute(query)).scalar_one())


def _print_messages() -> None:
    now_us = 1_790_000_000_000_000
    status = DeviceStatus(
        real_time_protection_enabled=True,
        real_time_protection_proven_at_us=now_us,
        real_time_protection_subsystem="fanotify",
        real_time_protection_mode="notify",
        engine="yara",
        engine_version="4.5.4",
        signatures_version="x" * 16,
        signatures_made_at_us=now_us,
        watched_roots=2,
        platform=Platform(os="linux", os_version="Debian GNU/Linux 12", architecture="x86_64", agent_version="0.1.0"),
        policy_version_desired="baseline.3+servers.1",
        policy_version_applied="baseline.3+servers.1",
    )
    request = CheckInRequest(status=status, entitlement_serial=1, contact_nonce=bytes(16), policy_etag="x" * 32)
    answer = CheckInResponse(server_time_at_us=1 << 50, check_in_interval_s=60, next_contact_nonce=bytes(16))
    print(f"bytes of a check-in: {request.ByteSize()}, of its answer: {answer.ByteSize()}; without HTTP/2, TLS and TCP")


if __name__ == "__main__":
    raise SystemExit(main())

"""Large tables on PostgreSQL: divided without a loss, and asked one part at a time."""

import re
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, func, select, text

from controlplane.accounts.audit import AuditFilter, newest_entries
from controlplane.commands.kinds.register import KINDS
from controlplane.commands.rows import CommandFilter
from controlplane.commands.service import CommandWish
from controlplane.detections.service import DetectionFilter
from controlplane.retention.service import Retention
from controlplane.runtime.paging import Page
from controlplane.storage.database import Database
from controlplane.storage.metadata import metadata
from controlplane.storage.schema import upgrade
from tests.fakes.world import World, principal_of
from tests.integration.controlplane.test_retention import found
from tests.integration.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres
TABLES = ("audit", "commands", "detections", "entitlements", "incident_devices")
PARTITION = re.compile(rf"\b({'|'.join(TABLES)})_p(\d\d)\b")


@pytest.fixture
async def whole(postgres: PostgresServer) -> AsyncIterator[Database]:
    """As it is today, but for the partitions."""
    name = await postgres.new_database()
    database = Database(postgres.url(name))
    await upgrade(database, partitions=0)
    yield database
    await database.close()
    await postgres.drop_database(name)


async def divide(database: Database, partitions: int) -> None:
    migration = import_module("controlplane.storage.migrations.versions.0034_partitions")

    def run(connection: Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            migration.divide(partitions)

    async with database.transaction() as uow:
        await uow.connection.run_sync(run)


async def counts(database: Database) -> dict[str, int]:
    async with database.reading() as connection:
        queries = {name: select(func.count()).select_from(metadata.tables[name]) for name in TABLES}
        return {name: (await connection.execute(query)).scalar_one() for name, query in queries.items()}


async def test_rows_are_moved_and_every_question_of_an_organisation_reads_one_partition(
    whole: Database, tmp_path: Path
) -> None:
    world = World(whole, tmp_path)
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.detections.report(device, [found(1, "a"), found(2, "b")], {"low": 1})
    wish = CommandWish(KINDS["scan"], {"what": "quick"}, "", "12345678")
    asked = await world.commands.request(customer.person, device.device_id, wish)
    before = await counts(whole)
    assert min(before.values()) > 0

    await divide(whole, 4)
    assert await counts(whole) == before

    plans = Plans(whole)
    await world.detections.report(device, [found(2, "b"), found(3, "b")], {})
    for wanted in (DetectionFilter(), DetectionFilter(device_id=device.device_id), DetectionFilter(oldest_first=True)):
        await world.detections.page(customer.org_id, Page(size=5), wanted)
    await world.detections.count_recent(customer.org_id)
    (incident, *_) = (await world.incidents.page(customer.org_id, Page(size=5))).views
    assert (await world.incidents.get(customer.org_id, incident.incident.incident_id)).devices == 1
    await world.commands.page(customer.org_id, Page(size=5), CommandFilter(device_id=device.device_id))
    await world.commands.cancel(customer.org_id, asked.command.command_id)
    async with whole.reading() as connection:
        await world.issuer.latest_of(connection, customer.org_id, device.device_id)
        await newest_entries(connection, customer.org_id, AuditFilter(), Page(size=5))
    await Retention(database=whole, times=world.times, clock=world.clock).run(rows=None)
    for statement, parts in await plans.finish():
        assert all(len(numbers) == 1 for numbers in parts.values()), statement
    assert (await counts(whole))["detections"] == 3
    assert plans.seen == set(TABLES)

    with pytest.raises(Exception, match="only ever grows"):
        async with whole.transaction() as uow:
            await uow.connection.execute(text("UPDATE audit SET actor = 'nobody'"))
    with pytest.raises(Exception, match="violates foreign key"):
        async with whole.transaction() as uow:
            await uow.connection.execute(
                text(
                    "INSERT INTO diagnostics_bundles (org_id, command_id, total_bytes, sha256, received_bytes, pieces, "
                    "expires_at) VALUES ('x', 'x', 0, '', 0, 0, 0)"
                )
            )


class Plans:
    """Listens to what is asked of partitioned tables, and has it explained afterwards."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: list[tuple[str, Any]] = []
        self.seen: set[str] = set()
        event.listen(database.engine.sync_engine, "before_cursor_execute", self._listen)

    def _listen(self, _c: Connection, _cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:  # noqa: FBT001 -- SQLAlchemy's signature
        if not many and not statement.startswith(("INSERT", "EXPLAIN")) and any(name in statement for name in TABLES):
            self._asked.append((statement, parameters))

    async def finish(self) -> list[tuple[str, dict[str, set[str]]]]:
        """Each statement with the partitions that it reads, by table."""
        event.remove(self._database.engine.sync_engine, "before_cursor_execute", self._listen)
        explained = []
        async with self._database.reading() as connection:
            for statement, parameters in self._asked:
                # What sweeps ask of all organisations at once is asked of each by its own.
                if "FROM organisations" in statement:
                    continue
                rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
                parts: dict[str, set[str]] = {}
                for table, number in PARTITION.findall("\n".join(row[0] for row in rows)):
                    parts.setdefault(table, set()).add(number)
                self.seen |= set(parts)
                explained.append((statement, parts))
        return explained

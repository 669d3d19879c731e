import re
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from controlplane.runtime.refusal import Refusal
from controlplane.serving import check_schema
from controlplane.storage.database import Database
from controlplane.storage.metadata import metadata
from controlplane.storage.schema import _config, current_revision, newest_revision, upgrade
from tests.fakes.every_table import load_every_table


def _is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or re.fullmatch(r".*_p\d\d", name or "") is None


def _differences(connection: Connection) -> list[object]:
    opts = {"compare_type": True, "compare_server_default": False, "include_name": _is_no_partition}
    context = MigrationContext.configure(connection, opts=opts)
    # A reference to a partitioned table is kept by PostgreSQL as one to each partition besides.
    return [change for change in compare_metadata(context, metadata) if not _refers_to_partition(change)]


def _refers_to_partition(change: Any) -> bool:
    if change[0] != "remove_fk":
        return False
    return all(re.search(r"_p\d\d\.", element.target_fullname) for element in change[1].elements)


async def test_migrations_build_exactly_the_schema_that_the_code_describes(database: Database) -> None:
    load_every_table()
    async with database.reading() as connection:
        assert await connection.run_sync(_differences) == []


async def test_an_upgrade_says_what_it_did_and_a_second_one_does_nothing(database_url: str) -> None:
    database = Database(database_url)
    try:
        assert await current_revision(database) is None
        assert await upgrade(database) == (None, newest_revision())
        assert await upgrade(database) == (newest_revision(), newest_revision())
        assert await current_revision(database) == newest_revision()
    finally:
        await database.close()


async def test_a_schema_that_the_program_does_not_fit_is_refused_with_the_way_out(database_url: str) -> None:
    database = Database(database_url)
    try:
        with pytest.raises(Refusal) as outdated:
            await check_schema(database)
        assert (outdated.value.reason, "migrate" in outdated.value.next_step) == ("SCHEMA_OUTDATED", True)
        await upgrade(database)
        await check_schema(database)
        async with database.transaction() as uow:
            await uow.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Refusal) as newer:
            await check_schema(database)
        assert newer.value.reason == "SCHEMA_NEWER"
    finally:
        await database.close()


async def test_the_organisations_of_a_demonstration_become_sandboxes_and_its_sweeps_come_back(
    database_url: str,
) -> None:
    database, year_us = Database(database_url), 365 * 86_400_000_000
    try:
        async with database.transaction() as uow:
            await uow.connection.run_sync(lambda connection: command.upgrade(_config(connection), "0022"))
            for statement in (
                "INSERT INTO organisations (org_id, name, created_at) VALUES ('org_1', 'Example', 0)",
                f"INSERT INTO sandbox_clock (only_row, offset_us) VALUES (1, {year_us})",
                f"INSERT INTO jobs (org_id, kind, subject, due_at) VALUES ('', 'sweep', '', {year_us + 7})",
                f"INSERT INTO jobs (org_id, kind, subject, due_at) VALUES ('org_1', 'bill', 'x', {year_us + 9})",
            ):
                await uow.connection.execute(text(statement))
        await upgrade(database)
        async with database.reading() as connection:
            found = (await connection.execute(text("SELECT org_id, offset_us FROM sandbox_clocks"))).all()
            due = (await connection.execute(text("SELECT due_at FROM jobs ORDER BY org_id"))).scalars().all()
        assert (found, due) == ([("org_1", year_us)], [7, year_us + 9])
    finally:
        await database.close()

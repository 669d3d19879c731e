import importlib
import pkgutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import controlplane
from controlplane.runtime.refusal import Refusal
from controlplane.serving import check_schema
from controlplane.storage.database import Database
from controlplane.storage.metadata import metadata
from controlplane.storage.schema import current_revision, newest_revision, upgrade


def _load_all_tables() -> None:
    for room in pkgutil.iter_modules(controlplane.__path__, "controlplane."):
        if room.ispkg:
            names = {module.name for module in pkgutil.iter_modules(importlib.import_module(room.name).__path__)}
            if "tables" in names:
                importlib.import_module(f"{room.name}.tables")


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return list(compare_metadata(context, metadata))


async def test_migrations_build_exactly_the_schema_that_the_code_describes(database: Database) -> None:
    _load_all_tables()
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

"""What operators see of what is kept for how long, and how they have old rows deleted now. Needs no key."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

# Every table, also of rooms that nothing here asks: rules name tables.
from controlplane import app as _app  # noqa: F401
from controlplane.config import ServerConfig
from controlplane.retention.service import Retention, RuleStanding
from controlplane.runtime.clock import SystemClock, TenantClock
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.serving import check_schema
from controlplane.storage.database import Database


async def show(config: ServerConfig) -> Sequence[RuleStanding]:
    """Every rule and how far it has come.

    Raises:
        Refusal: SCHEMA_OUTDATED or SCHEMA_NEWER.
    """
    async with _retention(config) as retention:
        return await retention.standings()


async def run(config: ServerConfig, *, dry: bool) -> Mapping[str, int]:
    """Delete everything that is due, or only count it; how many rows, by rule.

    Raises:
        Refusal: SCHEMA_OUTDATED or SCHEMA_NEWER.
    """
    async with _retention(config) as retention:
        return await (retention.preview() if dry else retention.run(rows=None))


@asynccontextmanager
async def _retention(config: ServerConfig) -> AsyncIterator[Retention]:
    database = Database(config.database_url)
    try:
        await check_schema(database)
        clock = TenantClock(SystemClock())
        yield Retention(database=database, times=TenantTimes(database), clock=clock, periods=config.periods)
    finally:
        await database.close()

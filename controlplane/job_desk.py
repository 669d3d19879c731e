"""What operators see of durable jobs, and how they wake the parked ones. Needs no key and moves no clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from controlplane.accounts.audit import AuditLog
from controlplane.config import ServerConfig
from controlplane.runtime.clock import SystemClock, TenantClock
from controlplane.runtime.jobs.board import JobEntry, JobKey, JobQuery, jobs_on_board, retry_job, retry_parked
from controlplane.runtime.principal import OPERATOR_ACTOR, acting_as
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.serving import check_schema
from controlplane.storage.database import Database


async def list_jobs(config: ServerConfig, query: JobQuery) -> Sequence[JobEntry]:
    """Jobs, parked ones first.

    Raises:
        Refusal: SCHEMA_OUTDATED or SCHEMA_NEWER.
    """
    async with _database(config) as database, database.reading() as connection:
        return await jobs_on_board(connection, query, now=SystemClock().now())


async def retry_jobs(config: ServerConfig, key: JobKey | None, kind: str = "") -> Sequence[JobKey]:
    """Have a failed job, or every parked one, tried again; which they were.

    Args:
        config: The installation.
        key: Which; None: every parked one.
        kind: Only parked ones of this kind; empty: of all.

    Raises:
        Refusal: JOB_NOT_FOUND, JOB_NOT_FAILED, SCHEMA_OUTDATED or SCHEMA_NEWER.
    """
    audit = AuditLog(TenantClock(SystemClock()), SystemRandomness())
    async with _database(config) as database, database.transaction() as uow:
        times = TenantTimes(database)
        if key is None:
            woken = await retry_parked(uow, kind)
        else:
            await retry_job(uow, key)
            woken = (key,)
        # An installation's own jobs are in nobody's audit.
        for each in [each for each in woken if each.org_id]:
            details = {"kind": each.kind}
            async with times.of(each.org_id):
                with acting_as(OPERATOR_ACTOR):
                    await audit.record(
                        uow, org_id=each.org_id, action="job.retried", subject=each.subject, details=details
                    )
    return woken


@asynccontextmanager
async def _database(config: ServerConfig) -> AsyncIterator[Database]:
    database = Database(config.database_url)
    try:
        await check_schema(database)
        yield database
    finally:
        await database.close()

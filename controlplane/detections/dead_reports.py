"""Reports that were taken and could not be stored: kept as they were, for a person to look at and to try again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.ports import Sealer
from controlplane.detections.envelope import unpack
from controlplane.detections.errors import report_not_found
from controlplane.detections.service import DetectionService
from controlplane.detections.tables import dead_reports
from controlplane.runtime.principal import acting_as
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from controlplane.storage.upsert import insert_into

#: Of one organisation, or of nobody: a device that was turned away and goes on reporting must not fill the disk.
MOST_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class DeadReport:
    """One of them.

    Attributes:
        org_id: Empty: its seal is not ours, so nobody knows whose it is.
        code: Why, as refusals say it, or the type of an error that nobody foresaw.
    """

    org_id: str
    report_id: str
    device_id: str
    failed_at: datetime
    code: str
    sentence: str


class DeadReports:
    """The use cases.

    Args:
        database: Where they are.
        detections: Stores them after all.
        sealer: Opens them.
        times: At which time that happens.
    """

    def __init__(self, database: Database, detections: DetectionService, sealer: Sealer, times: TenantTimes) -> None:
        self._database = database
        self._detections = detections
        self._sealer = sealer
        self._times = times

    async def keep(self, dead: DeadReport, sealed: bytes) -> bool:
        """Keep one, once; False: there are too many."""
        async with self._database.transaction() as uow:
            same = select(dead_reports.c.report_id).where(dead_reports.c.org_id == dead.org_id).limit(MOST_KEPT)
            query = select(func.count()).select_from(same.subquery())
            if (await uow.connection.execute(query)).scalar_one() >= MOST_KEPT:
                return False
            values = {column: getattr(dead, column) for column in DeadReport.__slots__}
            await uow.connection.execute(
                insert_into(uow.connection, dead_reports).values(**values, sealed=sealed).on_conflict_do_nothing()
            )
        return True

    async def list_all(self, limit: int = 1_000) -> Sequence[DeadReport]:
        """Of all organisations, the newest first."""
        columns = [dead_reports.c[name] for name in DeadReport.__slots__]
        query = select(*columns).order_by(dead_reports.c.failed_at.desc(), dead_reports.c.report_id).limit(limit)
        async with self._database.reading() as connection:
            return [_read(row) for row in await connection.execute(query)]

    async def retry(self, report_id: str) -> None:
        """Store one after all; then it is no longer here.

        Raises:
            Refusal: `REPORT_NOT_FOUND`, or why it still cannot be stored.
        """
        mine = dead_reports.c.report_id == report_id
        # Ids are ours unless nobody knows whose the report is: those come last.
        query = select(dead_reports.c.org_id, dead_reports.c.sealed).where(mine).order_by(dead_reports.c.org_id.desc())
        async with self._database.reading() as connection:
            found = (await connection.execute(query.limit(1))).one_or_none()
        if found is None:
            raise report_not_found()
        report = unpack(found.sealed, self._sealer)
        async with self._times.of(report.principal.org_id):
            with acting_as(report.principal.actor):
                await self._detections.report(
                    report.principal, report.incidents, report.dropped, report_id=report.report_id
                )
        async with self._database.transaction() as uow:
            await uow.connection.execute(delete(dead_reports).where(mine, dead_reports.c.org_id == found.org_id))


async def count_dead(connection: AsyncConnection) -> int:
    """How many there are, up to `MOST_KEPT`."""
    some = select(dead_reports.c.report_id).limit(MOST_KEPT).subquery()
    return (await connection.execute(select(func.count()).select_from(some))).scalar_one()


def why(error: Exception) -> tuple[str, str]:
    """Code and sentence of what keeps a report from being stored."""
    if isinstance(error, Refusal):
        return error.reason, error.message
    return type(error).__name__, "nobody foresaw this; the log of the server has it under report_given_up"


def _read(row: Row[Any]) -> DeadReport:
    return DeadReport(row.org_id, row.report_id, row.device_id, row.failed_at, row.code, row.sentence)

"""Publishing download tables and finding what fits."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.downloads.document import content_sha256, table_from_json, table_json
from controlplane.downloads.errors import none_published, nothing_fits, version_taken
from controlplane.downloads.model import Choice, DownloadTable, Explained, Machine, resolve
from controlplane.downloads.tables import download_tables
from controlplane.runtime.clock import Clock
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into
from controlplane.subscriptions.service import SubscriptionService


@dataclass(frozen=True, slots=True)
class Offer:
    """A build that fits, and what it is good for.

    Attributes:
        choice: The build or store.
        features: What the organisation's subscriptions allow on that system now; empty: they do not cover it.
    """

    choice: Choice
    features: tuple[str, ...]


class DownloadService:
    """The use cases.

    Args:
        clock: Business time.
        subscriptions: Knows what an organisation is entitled to.
    """

    def __init__(self, clock: Clock, subscriptions: SubscriptionService) -> None:
        self._clock = clock
        self._subscriptions = subscriptions

    async def apply(self, uow: UnitOfWork, table: DownloadTable) -> bool:
        """Publish a table; False: it was published before.

        Raises:
            Refusal: DOWNLOADS_VERSION_TAKEN.
        """
        columns = download_tables.c
        newest = (
            await uow.connection.execute(
                select(columns.table_version, columns.content_sha256).order_by(columns.table_version.desc()).limit(1)
            )
        ).one_or_none()
        sha256 = content_sha256(table)
        if newest is not None and newest.table_version >= table.version:
            if (newest.table_version, newest.content_sha256) == (table.version, sha256):
                return False
            raise version_taken(table.version, newest.table_version)
        inserted = await uow.connection.execute(
            insert_into(uow.connection, download_tables)
            .values(
                table_version=table.version,
                content_sha256=sha256,
                document=table_json(table),
                applied_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(columns.table_version)
        )
        if inserted.first() is None:
            # Somebody published the same number between the look and the leap.
            raise version_taken(table.version, table.version)
        return True

    async def newest(self, connection: AsyncConnection) -> DownloadTable:
        """The table in force.

        Raises:
            Refusal: DOWNLOADS_NONE.
        """
        columns = download_tables.c
        row = (
            await connection.execute(
                select(columns.table_version, columns.document).order_by(columns.table_version.desc()).limit(1)
            )
        ).one_or_none()
        if row is None:
            raise none_published()
        return table_from_json(row.document, row.table_version)

    async def resolve(self, connection: AsyncConnection, org_id: str, machine: Machine) -> Offer:
        """The newest build that fits a machine, with what the organisation is entitled to there.

        Raises:
            Refusal: DOWNLOADS_NONE, or the code of a `Mismatch` with what would fit.
        """
        choice = resolve(await self.newest(connection), machine)
        if isinstance(choice, Explained):
            raise nothing_fits(choice.why.value, choice.message, choice.next_step)
        features = await self._subscriptions.features_on(connection, org_id, choice.found.os.value)
        return Offer(choice, tuple(sorted(features)))

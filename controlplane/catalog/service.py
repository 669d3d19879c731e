"""Publishing catalogs and looking plans up."""

from enum import Enum

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.document import Catalog, plan_from_json, plan_json
from controlplane.catalog.errors import plan_unknown, version_in_use
from controlplane.catalog.model import Plan
from controlplane.catalog.tables import catalog_versions, plans
from controlplane.runtime.clock import Clock
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into


class Applied(Enum):
    """What publishing a catalog did."""

    PUBLISHED = "published"
    #: The same content was there already.
    UNCHANGED = "unchanged"
    #: Nobody had bought from this version yet, so its content was exchanged.
    REPLACED = "replaced"


class CatalogService:
    """Publishes catalogs, finds plans.

    Args:
        clock: Business time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A published plan that a subscription uses never changes, but one that nobody uses may: nothing is cached
        # beyond a transaction.

    async def apply(self, uow: UnitOfWork, catalog: Catalog) -> Applied:
        """Publish a catalog; applying the same one again changes nothing.

        Raises:
            Refusal: CATALOG_VERSION_IN_USE, the version says something else and somebody bought from it.
        """
        values = {"content_sha256": catalog.content_sha256, "applied_at": self._clock.now()}
        inserted = await uow.connection.execute(
            insert_into(uow.connection, catalog_versions)
            .values(catalog_version=catalog.version, **values)
            .on_conflict_do_nothing()
            .returning(catalog_versions.c.catalog_version)
        )
        if inserted.first() is not None:
            await self._insert_plans(uow, catalog)
            return Applied.PUBLISHED
        version_row = catalog_versions.c.catalog_version == catalog.version
        stored = await uow.connection.scalar(
            select(catalog_versions.c.content_sha256).where(version_row).with_for_update()
        )
        if stored == catalog.content_sha256:
            return Applied.UNCHANGED
        try:
            # The foreign key of the subscriptions decides: no look before the leap, so nobody can buy in between.
            await uow.connection.execute(delete(plans).where(plans.c.catalog_version == catalog.version))
        except IntegrityError as error:
            raise version_in_use(catalog.version) from error
        await uow.connection.execute(catalog_versions.update().where(version_row).values(**values))
        await self._insert_plans(uow, catalog)
        return Applied.REPLACED

    async def on_sale(self, connection: AsyncConnection, plan_id: str) -> Plan:
        """A plan of the newest catalog.

        Raises:
            Refusal: PLAN_UNKNOWN, with the plans there are.
        """
        newest = select(func.max(catalog_versions.c.catalog_version)).scalar_subquery()
        rows = await connection.execute(
            select(plans.c.catalog_version, plans.c.plan_id, plans.c.document)
            .where(plans.c.catalog_version == newest)
            .order_by(plans.c.plan_id)
        )
        known = {row.plan_id: plan_from_json(row.document, row.catalog_version) for row in rows}
        if plan_id not in known:
            raise plan_unknown(plan_id, ", ".join(known))
        return known[plan_id]

    async def plan(self, connection: AsyncConnection, *, plan_id: str, catalog_version: int) -> Plan:
        """A plan as a subscription bought it; the foreign key promises that it is there."""
        document = await connection.scalar(
            select(plans.c.document).where(plans.c.catalog_version == catalog_version, plans.c.plan_id == plan_id)
        )
        assert isinstance(document, str), "subscriptions refer to published plans"
        return plan_from_json(document, catalog_version)

    async def _insert_plans(self, uow: UnitOfWork, catalog: Catalog) -> None:
        rows = [
            {"catalog_version": catalog.version, "plan_id": plan.plan_id, "document": plan_json(plan)}
            for plan in catalog.plans
        ]
        await uow.connection.execute(insert(plans), rows)

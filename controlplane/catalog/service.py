"""Publishing catalogs and looking plans up."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from sqlalchemy import ScalarSelect, delete, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.document import Catalog, plan_from_json, plan_json
from controlplane.catalog.errors import plan_unknown, version_in_use, version_out_of_order
from controlplane.catalog.model import ExistingCustomers, Plan
from controlplane.catalog.tables import catalog_versions, plans
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: The job of a version that moves existing customers: they set their alarms for the instant at which it comes on sale.
VERSION_APPLIED: Final = "catalog.version_applied"


class Applied(Enum):
    """What publishing a catalog did."""

    PUBLISHED = "published"
    #: The same content was there already.
    UNCHANGED = "unchanged"
    #: Nobody had bought from this version yet, so its content was exchanged.
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A version of the catalog, and since when it is or will be on sale."""

    version: int
    valid_from: datetime
    applied_at: datetime
    plans: int


class CatalogService:
    """Publishes catalogs, finds plans. On sale is the newest version that is valid.

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
            Refusal: CATALOG_VERSION_IN_USE, the version says something else and somebody bought from it, or
                CATALOG_OUT_OF_ORDER, it would not come on sale after the versions below it and before those above.
        """
        now = self._clock.now()
        valid_from = catalog.valid_from or now
        values = {"content_sha256": catalog.content_sha256, "applied_at": now, "valid_from": valid_from}
        inserted = await uow.connection.execute(
            insert_into(uow.connection, catalog_versions)
            .values(catalog_version=catalog.version, **values)
            .on_conflict_do_nothing()
            .returning(catalog_versions.c.catalog_version)
        )
        outcome = Applied.PUBLISHED
        if inserted.first() is None:
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
            outcome = Applied.REPLACED
        await self._check_order(uow, catalog.version, valid_from)
        await self._insert_plans(uow, catalog)
        if any(plan.existing_customers is ExistingCustomers.MOVE for plan in catalog.plans):
            await schedule(uow, kind=VERSION_APPLIED, subject=str(catalog.version), due_at=now)
        return outcome

    async def versions(self, connection: AsyncConnection) -> tuple[PublishedVersion, ...]:
        """Every version, the oldest first."""
        columns = catalog_versions.c
        rows = await connection.execute(
            select(columns.catalog_version, columns.valid_from, columns.applied_at, func.count(plans.c.plan_id))
            .join(plans, plans.c.catalog_version == columns.catalog_version)
            .group_by(columns.catalog_version, columns.valid_from, columns.applied_at)
            .order_by(columns.catalog_version)
        )
        return tuple(PublishedVersion(*row) for row in rows)

    async def plans_on_sale(self, connection: AsyncConnection) -> tuple[Plan, ...]:
        """The plans that can be bought now, by their ids."""
        rows = await connection.execute(
            select(plans.c.catalog_version, plans.c.plan_id, plans.c.document)
            .where(plans.c.catalog_version == self._version_on_sale())
            .order_by(plans.c.plan_id)
        )
        return tuple(plan_from_json(row.document, row.catalog_version) for row in rows)

    async def on_sale(self, connection: AsyncConnection, plan_id: str) -> Plan:
        """A plan that can be bought now.

        Raises:
            Refusal: PLAN_UNKNOWN, with the plans there are.
        """
        known = {plan.plan_id: plan for plan in await self.plans_on_sale(connection)}
        if plan_id not in known:
            raise plan_unknown(plan_id, ", ".join(known))
        return known[plan_id]

    async def newest(self, connection: AsyncConnection, plan_id: str) -> Plan | None:
        """A plan as it is sold now; None: it is not sold any more."""
        row = (
            await connection.execute(
                select(plans.c.catalog_version, plans.c.document).where(
                    plans.c.catalog_version == self._version_on_sale(), plans.c.plan_id == plan_id
                )
            )
        ).one_or_none()
        return None if row is None else plan_from_json(row.document, row.catalog_version)

    async def next_on_sale(self, connection: AsyncConnection) -> datetime | None:
        """When the next version comes on sale; None: none is waiting."""
        valid_from = catalog_versions.c.valid_from
        instant: datetime | None = await connection.scalar(
            select(valid_from).where(valid_from > self._clock.now()).order_by(valid_from).limit(1)
        )
        return instant

    async def plan(self, connection: AsyncConnection, *, plan_id: str, catalog_version: int) -> Plan:
        """A plan as a subscription bought it; the foreign key promises that it is there."""
        document = await connection.scalar(
            select(plans.c.document).where(plans.c.catalog_version == catalog_version, plans.c.plan_id == plan_id)
        )
        assert isinstance(document, str), "subscriptions refer to published plans"
        return plan_from_json(document, catalog_version)

    def _version_on_sale(self) -> ScalarSelect[int]:
        valid = catalog_versions.c.valid_from <= self._clock.now()
        return select(func.max(catalog_versions.c.catalog_version)).where(valid).scalar_subquery()

    async def _check_order(self, uow: UnitOfWork, version: int, valid_from: datetime) -> None:
        columns = catalog_versions.c
        other = await uow.connection.scalar(
            select(columns.catalog_version)
            .where(
                or_(
                    (columns.catalog_version < version) & (columns.valid_from > valid_from),
                    (columns.catalog_version > version) & (columns.valid_from <= valid_from),
                )
            )
            .order_by(columns.catalog_version)
            .limit(1)
        )
        if other is not None:
            raise version_out_of_order(version, other)

    async def _insert_plans(self, uow: UnitOfWork, catalog: Catalog) -> None:
        rows = [
            {"catalog_version": catalog.version, "plan_id": plan.plan_id, "document": plan_json(plan)}
            for plan in catalog.plans
        ]
        await uow.connection.execute(insert(plans), rows)

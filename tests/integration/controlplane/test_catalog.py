import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.catalog.document import Catalog
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import Applied
from controlplane.installation import sample_catalog
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from controlplane.subscriptions.model import Renewal
from tests.fakes.world import World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


async def apply(world: World, catalog: Catalog) -> Applied:
    async with world.database.transaction() as uow:
        return await world.catalog.apply(uow, catalog)


async def buy(world: World, plan_id: str) -> None:
    async with world.database.transaction() as uow:
        organisation = await world.accounts.create_organisation(uow, name="Household")
        await world.subscriptions.create(
            uow, org_id=organisation.org_id, plan_id=plan_id, term=Term.YEARLY, renewal=Renewal.OFF
        )


def changed(catalog: Catalog, *, version: int | None = None, drop: Sequence[str] = ()) -> Catalog:
    number = version or catalog.version
    plans: list[Plan] = [
        replace(plan, name=f"{plan.name}!", catalog_version=number)
        for plan in catalog.plans
        if plan.plan_id not in drop
    ]
    return Catalog(number, tuple(plans))


async def test_applying_the_same_catalog_again_changes_nothing(world: World) -> None:
    assert await apply(world, sample_catalog()) is Applied.PUBLISHED
    assert await apply(world, sample_catalog()) is Applied.UNCHANGED


async def test_a_version_that_nobody_bought_from_may_be_corrected(world: World) -> None:
    await apply(world, sample_catalog())
    assert await apply(world, changed(sample_catalog())) is Applied.REPLACED
    async with world.database.reading() as connection:
        assert (await world.catalog.on_sale(connection, "home-3")).name.endswith("!")


async def test_a_version_in_use_is_never_changed(world: World) -> None:
    await apply(world, sample_catalog())
    await buy(world, "home-3")
    with pytest.raises(Refusal) as refused:
        await apply(world, changed(sample_catalog()))
    assert refused.value.reason == "CATALOG_VERSION_IN_USE"
    assert "version = 2" in refused.value.next_step
    assert await apply(world, sample_catalog()) is Applied.UNCHANGED


async def test_new_subscriptions_use_the_newest_version_and_old_ones_keep_theirs(world: World) -> None:
    await apply(world, sample_catalog())
    await buy(world, "home-3")
    await apply(world, changed(sample_catalog(), version=2, drop=["solo-1"]))
    async with world.database.reading() as connection:
        assert (await world.catalog.on_sale(connection, "home-3")).catalog_version == 2
        old = await world.catalog.plan(connection, plan_id="home-3", catalog_version=1)
        assert not old.name.endswith("!")
        with pytest.raises(Refusal) as refused:
            await world.catalog.on_sale(connection, "solo-1")
    assert refused.value.reason == "PLAN_UNKNOWN"
    assert refused.value.next_step == "Choose one of: family-10, home-3"


async def test_without_a_catalog_nothing_is_on_sale(world: World) -> None:
    async with world.database.reading() as connection:
        with pytest.raises(Refusal) as refused:
            await world.catalog.on_sale(connection, "home-3")
    assert "catalog apply" in refused.value.next_step


async def test_publishing_at_once_publishes_once(world: World) -> None:
    outcomes = await asyncio.gather(*(apply(world, sample_catalog()) for _ in range(6)))
    assert sorted(outcome.value for outcome in outcomes) == ["published", *["unchanged"] * 5]

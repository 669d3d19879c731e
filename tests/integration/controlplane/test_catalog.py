import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
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
    assert f"version = {sample_catalog().version + 1}" in refused.value.next_step
    assert await apply(world, sample_catalog()) is Applied.UNCHANGED


async def test_new_subscriptions_use_the_newest_version_and_old_ones_keep_theirs(world: World) -> None:
    await apply(world, sample_catalog())
    await buy(world, "home-3")
    await apply(world, changed(sample_catalog(), version=3, drop=["solo-1"]))
    async with world.database.reading() as connection:
        assert (await world.catalog.on_sale(connection, "home-3")).catalog_version == 3
        old = await world.catalog.plan(connection, plan_id="home-3", catalog_version=2)
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


async def test_a_version_comes_on_sale_at_its_own_instant(world: World) -> None:
    tomorrow = world.clock.now() + timedelta(days=1)
    await apply(world, sample_catalog())
    later = replace(changed(sample_catalog(), version=9), valid_from=tomorrow)
    assert await apply(world, later) is Applied.PUBLISHED
    async with world.database.reading() as connection:
        assert (await world.catalog.on_sale(connection, "home-3")).catalog_version == sample_catalog().version
        world.clock.set_wall(tomorrow)
        assert (await world.catalog.on_sale(connection, "home-3")).catalog_version == 9
        assert [(each.version, each.plans) for each in await world.catalog.versions(connection)] == [
            (sample_catalog().version, 3),
            (9, 3),
        ]


async def test_versions_come_on_sale_in_their_order(world: World) -> None:
    now = world.clock.now()
    await apply(world, replace(changed(sample_catalog(), version=5), valid_from=now + timedelta(days=5)))
    for version, days in ((4, 6), (6, 4)):
        with pytest.raises(Refusal) as refused:
            await apply(
                world, replace(changed(sample_catalog(), version=version), valid_from=now + timedelta(days=days))
            )
        assert (refused.value.reason, refused.value.facts["other"]) == ("CATALOG_OUT_OF_ORDER", "5")
    assert await apply(world, changed(sample_catalog(), version=4)) is Applied.PUBLISHED

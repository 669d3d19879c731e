"""However time is cut, in one step, by days or at random: the same invoices, notices and states, byte for byte."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from controlplane.catalog.model import Term
from controlplane.runtime.clock import running_ahead
from controlplane.runtime.tables import jobs
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.life_stories import DAYS, live, rows
from tests.fakes.lives import LivesWorld, lives_on_sqlite


async def played(folder: Path, name: str, term: Term, cuts: Sequence[datetime] = ()) -> list[tuple[object, ...]]:
    async with lives_on_sqlite(folder, name) as world:
        await live(world, term, cuts)
        return await rows(world)


async def played_in_a_sandbox(folder: Path, name: str, cuts: Sequence[datetime] = ()) -> list[tuple[object, ...]]:
    """A life ahead of everybody else; a neighbour in real time, whose rows and jobs must stay as they are."""
    with running_ahead(timedelta(0)):
        async with lives_on_sqlite(folder, name) as world:
            await world.customer(Term.MONTHLY)
            neighbour, waiting = await rows(world), await jobs_waiting(world)
            world.makes_sandboxes = True
            customer = await live(world, Term.YEARLY, cuts)
            everything = await rows(world)
            assert [row for row in everything if customer.org_id not in row] == neighbour
            assert (await world.runner.run_until(world.clock.now())).run == 0
            assert [job for job in await jobs_waiting(world) if job[0] != customer.org_id] == waiting
            assert world.clock.now() == SOME_MONDAY
            return everything


async def jobs_waiting(world: LivesWorld) -> list[tuple[object, ...]]:
    async with world.database.reading() as connection:
        return [tuple(row) for row in await connection.execute(select(jobs).order_by(*jobs.primary_key.columns))]


def some_cuts(seed: int) -> list[datetime]:
    random = Random(seed)
    span = DAYS * 86_400_000_000
    many = random.choice([1, 10, 100])
    return sorted(SOME_MONDAY + timedelta(microseconds=random.randrange(span)) for _ in range(many))


@pytest.mark.parametrize("term", [Term.YEARLY, pytest.param(Term.MONTHLY, marks=pytest.mark.slow)])
async def test_day_by_day_is_the_same_as_all_at_once(tmp_path: Path, term: Term) -> None:
    days = [SOME_MONDAY + timedelta(days=day) for day in range(1, DAYS)]
    whole = await played(tmp_path, "whole.db", term)
    assert await played(tmp_path, "days.db", term, days) == whole


@pytest.mark.timeout(1800)  # the slow half plays 116 lives
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 60), marks=pytest.mark.slow)], ids=["few", "many"])
async def test_random_cuts_change_nothing(tmp_path: Path, seeds: range) -> None:
    for term in Term:
        whole = await played(tmp_path, f"{term.value}.db", term)
        for seed in seeds:
            assert await played(tmp_path, f"{term.value}-{seed}.db", term, some_cuts(seed)) == whole, seed


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 30), marks=pytest.mark.slow)], ids=["one", "many"])
async def test_however_a_sandbox_is_moved_it_ends_the_same_and_its_neighbour_notices_nothing(
    tmp_path: Path, seeds: range
) -> None:
    whole = await played_in_a_sandbox(tmp_path, "whole.db")
    for seed in seeds:
        assert await played_in_a_sandbox(tmp_path, f"{seed}.db", some_cuts(seed)) == whole, seed

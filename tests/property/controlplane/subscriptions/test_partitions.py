"""However time is cut, in one step, by days or at random: the same invoices, notices and states, byte for byte."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from controlplane.catalog.model import Term
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.life_stories import DAYS, live, rows
from tests.fakes.lives import lives_on_sqlite


async def played(folder: Path, name: str, term: Term, cuts: Sequence[datetime] = ()) -> list[tuple[object, ...]]:
    async with lives_on_sqlite(folder, name) as world:
        await live(world, term, cuts)
        return await rows(world)


def some_cuts(seed: int) -> list[datetime]:
    random = Random(seed)
    span = DAYS * 86_400_000_000
    many = random.choice([1, 10, 100])
    return sorted(SOME_MONDAY + timedelta(microseconds=random.randrange(span)) for _ in range(many))


@pytest.mark.parametrize("term", Term)
async def test_day_by_day_is_the_same_as_all_at_once(tmp_path: Path, term: Term) -> None:
    days = [SOME_MONDAY + timedelta(days=day) for day in range(1, DAYS)]
    whole = await played(tmp_path, "whole.db", term)
    assert await played(tmp_path, "days.db", term, days) == whole


@pytest.mark.timeout(1800)  # the slow half plays 116 lives
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 60), marks=pytest.mark.slow)], ids=["few", "many"])
async def test_random_cuts_change_nothing(tmp_path: Path, seeds: range) -> None:
    for term in Term:
        whole = await played(tmp_path, f"{term.value}.db", term)
        for seed in seeds:
            assert await played(tmp_path, f"{term.value}-{seed}.db", term, some_cuts(seed)) == whole, seed

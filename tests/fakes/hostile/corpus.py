"""All hostile inputs. The same seed gives the same ones, but for the time stamps that xar and iso9660 carry."""

from collections.abc import Iterator
from random import Random

from tests.fakes.hostile.bending import bent_cases
from tests.fakes.hostile.bombs import bomb_cases
from tests.fakes.hostile.case import Case
from tests.fakes.hostile.crowds import crowd_cases
from tests.fakes.hostile.names import name_cases
from tests.fakes.hostile.nests import nest_cases
from tests.fakes.hostile.quines import quine_cases


def hostile_cases(seed: int, bent_per_sample: int, *, heavy: bool) -> Iterator[Case]:
    """Every kind of malice.

    Args:
        seed: Of what is random.
        bent_per_sample: How often each honest container is bent in each of four ways.
        heavy: With bombs and crowds as large as the default limits are made for.
    """
    yield from bent_cases(Random(seed), bent_per_sample)
    yield from name_cases()
    yield from nest_cases(heavy=heavy)
    yield from quine_cases()
    yield from bomb_cases(heavy=heavy)
    yield from crowd_cases(heavy=heavy)

"""Three years of a yearly and a monthly customer, written down; a change of the text is a change of somebody's life.

To write them anew: `BUCKLER_WRITE_VECTORS=1 python -m pytest tests/integration/controlplane/subscriptions`.
"""

import os
from pathlib import Path

import pytest

from controlplane.catalog.model import Term
from tests.fakes.life_stories import SCENES, live, transcript
from tests.fakes.lives import LivesWorld

VECTORS = Path(__file__).parents[3] / "vectors" / "subscriptions"


@pytest.mark.parametrize("term", Term)
async def test_a_life_is_what_it_was(world: LivesWorld, term: Term) -> None:
    customer = await live(world, term)
    written = await transcript(world, customer, SCENES[term])
    golden = VECTORS / f"{term.value}_customer.txt"
    if os.environ.get("BUCKLER_WRITE_VECTORS"):
        golden.write_text(written, encoding="utf-8")
    assert written == golden.read_text(encoding="utf-8")

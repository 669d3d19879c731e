"""The fuzz targets on their seeds, bent, and on any bytes; `tests.fuzz.campaign` goes on from here with coverage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets.registry import TARGETS
from tests.fuzz.targets.target import Target


@st.composite
def bent_seeds(draw: st.DrawFn, target: Target) -> bytes:
    """A seed with a few bytes replaced, put in, taken out or cut off, or nothing like a seed."""
    data = draw(st.sampled_from(target.seeds) | st.binary(max_size=400))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        data = data[:start] + draw(st.binary(max_size=8)) + data[end:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@pytest.mark.parametrize("name", sorted(TARGETS))
@given(data=st.data())
def test_a_target_documents_what_it_raises(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    untrusted = data.draw(bent_seeds(target))
    target.run(untrusted)
    assert target.seeds

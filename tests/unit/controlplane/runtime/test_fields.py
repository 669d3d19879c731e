from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.fields import MAX_MICROSECONDS, harmless_text, instant, text
from controlplane.runtime.refusal import Refusal


def test_a_text_loses_its_surrounding_space_and_nothing_else() -> None:
    assert text("name", "  Anna's laptop \u00fc ", limit=20) == "Anna's laptop \u00fc"


@pytest.mark.parametrize("untrusted", ["", "   ", "toolong", "a\x00b", "a\nb", "a\x1bb", "a\u009bb", "a\x7fb"])
def test_a_text_that_cannot_be_right_is_refused_with_the_name_of_its_field(untrusted: str) -> None:
    with pytest.raises(Refusal) as caught:
        text("name", untrusted, limit=6, required=True)
    assert (caught.value.reason, caught.value.facts) == ("INVALID_REQUEST", {"field": "name"})


@given(st.text(), st.integers(1, 50))
def test_harmless_text_is_short_and_printable(untrusted: str, limit: int) -> None:
    made = harmless_text(untrusted, limit=limit)
    assert len(made) <= limit
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in made)


def test_instants_between_1970_and_9999_are_read() -> None:
    assert instant("at", 0) is None
    assert instant("at", 1) == datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)
    last = instant("at", MAX_MICROSECONDS)
    assert last is not None
    assert last.year == 9999


@pytest.mark.parametrize("untrusted", [-1, MAX_MICROSECONDS + 1, -(2**63), 2**63 - 1])
def test_other_instants_are_refused(untrusted: int) -> None:
    with pytest.raises(Refusal) as caught:
        instant("at", untrusted)
    assert caught.value.facts == {"field": "at"}

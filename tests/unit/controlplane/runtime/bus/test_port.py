import json

from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.bus.port import MAX_AT_ONCE, Hint, Waiting, decode, encode

IDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=64)
HINTS = st.builds(Hint, IDS, IDS)


@given(st.lists(HINTS, max_size=MAX_AT_ONCE))
def test_hints_arrive_as_they_left_and_fit_into_a_notification(hints: list[Hint]) -> None:
    message = encode(hints)
    assert decode(message) == tuple(hints)
    assert len(message.encode()) < 8_000


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_whatever_else_arrives_is_passed_over(untrusted: bytes | str) -> None:
    assert all(isinstance(hint, Hint) for hint in decode(untrusted))


def test_rows_that_are_no_pair_of_ids_are_passed_over() -> None:
    rows = [["org_1", "dev_1"], ["org_1"], ["org_1", ""], ["org_1", 7], "ab", {"a": 1, "b": 2}, ["o", "d" * 65]]
    assert decode(json.dumps(rows)) == (Hint("org_1", "dev_1"),)
    assert decode("[" * 100_000) == ()


@given(st.lists(HINTS, max_size=30), st.integers(1, 10))
def test_what_waits_is_bounded_said_once_and_leaves_the_oldest_first(hints: list[Hint], limit: int) -> None:
    waiting = Waiting(limit)
    for hint in hints:
        waiting.add(hint)
    distinct = list(dict.fromkeys(hints))
    assert len(waiting) <= limit
    assert len(waiting) + waiting.dropped >= len(distinct)
    taken = list(waiting.take())
    assert taken == [hint for hint in taken if hint in distinct]
    assert len(set(taken)) == len(taken)
    assert waiting.take() == ()

"""Cutting memory into pieces loses no address and no short string."""

from hypothesis import given
from hypothesis import strategies as st

from agent.platform.processes.memory import Span
from agent.scanner.memory_pieces import OVERLAP_BYTES, Stretch, pieces

PAGE = 4096
LENGTHS = st.integers(1, 200).map(lambda pages: pages * PAGE)


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    at, found = 0, []
    for size, gap, head in draw(st.lists(st.tuples(LENGTHS, st.integers(0, 3), st.booleans()), max_size=12)):
        found.append(Stretch(Span(at, size), head))
        at += size + gap * PAGE
    return found


@given(stretches(), st.integers(2 * OVERLAP_BYTES + 1, 600 * PAGE))
def test_every_address_and_every_short_run_of_them_is_in_some_piece(given: list[Stretch], piece_bytes: int) -> None:
    cut = list(pieces(given, piece_bytes))
    assert all(0 < piece.size <= piece_bytes for piece in cut)
    kept = [span for piece in cut for span in piece.spans]
    for stretch in given:
        span = stretch.span
        for at in {span.start, span.end - 1, *range(span.start, span.end, PAGE)}:
            until = min(at + OVERLAP_BYTES, span.end)
            assert any(part.start <= at and until <= part.end for part in kept)


@given(stretches(), st.integers(2 * OVERLAP_BYTES + 1, 600 * PAGE))
def test_what_begins_like_a_program_begins_a_piece(given: list[Stretch], piece_bytes: int) -> None:
    beginnings = {piece.spans[0].start for piece in pieces(given, piece_bytes)}
    assert {stretch.span.start for stretch in given if stretch.begins_program} <= beginnings

from hypothesis import given
from hypothesis import strategies as st

from agent.scanner.routing.needs import Need, sized, starts_with
from agent.scanner.routing.selection import Route, Selector

heads = st.binary(max_size=4)
needs = st.builds(
    Need,
    heads=st.none() | st.frozensets(heads.filter(bool), max_size=4),
    min_size=st.integers(0, 4),
    max_size=st.integers(0, 8),
)
routes = st.builds(Route, needs, excluded=st.lists(heads.filter(bool), max_size=2).map(tuple))


@given(routes=st.lists(routes, max_size=5), data=st.binary(max_size=8))
def test_exactly_the_routes_that_accept_a_file_are_selected(routes: list[Route], data: bytes) -> None:
    selector = Selector(routes)
    expected = [
        index
        for index, route in enumerate(routes)
        if (route.need.heads is None or any(data.startswith(head) for head in route.need.heads))
        and not any(data.startswith(head) for head in route.excluded)
        and route.need.min_size <= len(data) <= route.need.max_size
    ]
    assert list(selector.select(data[: selector.head_bytes], len(data))) == expected


def test_a_head_of_one_byte_is_found_in_longer_and_in_equally_short_files() -> None:
    selector = Selector([Route(starts_with(b"M")), Route(sized(at_most=1))])
    assert selector.select(b"M", 1) == (0, 1)
    assert selector.select(b"MZ", 2) == (0,)
    assert selector.select(b"", 0) == (1,)


def test_the_bytes_to_read_follow_from_the_routes() -> None:
    assert Selector([]).head_bytes == 0
    assert Selector([Route(starts_with(b"MZ"), excluded=(b"abcdef",))]).head_bytes == 6

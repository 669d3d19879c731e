"""The limits: each makes the file incomplete, with its name and value, and stops as little as it can."""

import gzip

from agent.domain.facts import Incomplete
from agent.platform.clock import SystemClock
from agent.scanner.containers.budget import Budget
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.limits import MIB, Limits
from tests.fakes.archives import tar_of, zip_of
from tests.fakes.clock import FakeClock


def walk(data: bytes, limits: Limits) -> tuple[list[str], list[Incomplete]]:
    met: list[str] = []
    walk = Walk(FORMATS, Budget(limits, SystemClock().monotonic_ns), lambda c: met.append("!".join(c.trail)))
    walk.run(Content(data, ("f",)))
    return met, walk.incomplete


def nested(depth: int) -> bytes:
    data = b"core"
    for _ in range(depth):
        data = zip_of({"z": data})
    return data


def test_depth_counts_containers_inside_one_another() -> None:
    met, incomplete = walk(nested(3), Limits(max_depth=2))
    assert met == ["f", "f!z", "f!z!z"]
    assert incomplete == [Incomplete("max_depth", 2, ("f", "z", "z"))]


def test_the_deepest_allowed_container_is_opened() -> None:
    met, incomplete = walk(nested(3), Limits(max_depth=3))
    assert (met[-1], incomplete) == ("f!z!z!z", [])


def test_too_many_members_stop_the_file_after_the_last_allowed_one() -> None:
    met, incomplete = walk(zip_of({str(i): b"x" for i in range(10)}), Limits(max_members=4))
    assert len(met) == 5
    assert incomplete == [Incomplete("max_members", 4)]


def test_members_are_counted_over_all_depths() -> None:
    inner = zip_of({str(i): b"x" for i in range(5)})
    assert walk(zip_of({"a": inner, "b": inner}), Limits(max_members=11))[1] == [Incomplete("max_members", 11)]


def test_a_member_over_the_file_limit_costs_only_itself() -> None:
    met, incomplete = walk(zip_of({"big": bytes(1001), "small": b"x"}), Limits(max_file_size=1000))
    assert met == ["f", "f!small"]
    assert incomplete == [Incomplete("max_file_size", 1000, ("f", "big"))]


def test_a_member_exactly_at_the_file_limit_is_looked_at() -> None:
    assert walk(zip_of({"big": bytes(1000)}), Limits(max_file_size=1000)) == (["f", "f!big"], [])


def test_unpacked_bytes_are_counted_over_the_whole_file() -> None:
    data = tar_of({str(i): bytes(1000) for i in range(10)})
    _met, incomplete = walk(data, Limits(max_expanded_size=5000))
    assert incomplete == [Incomplete("max_expanded_size", 5000)]


def test_a_bomb_ends_its_own_container_and_not_its_neighbours() -> None:
    bomb = gzip.compress(bytes(40 * MIB))
    met, incomplete = walk(zip_of({"bomb.gz": bomb, "after": b"x"}), Limits(max_ratio=100))
    assert "f!after" in met
    assert incomplete == [Incomplete("max_ratio", 100, ("f", "bomb.gz"))]


def test_a_small_file_that_packs_well_is_no_bomb() -> None:
    assert walk(gzip.compress(bytes(1 * MIB)), Limits(max_ratio=100))[1] == []


def test_when_the_time_is_up_the_file_says_so() -> None:
    ticks = iter(range(0, 10**12, 400_000_000))
    met: list[Content] = []
    slow = Walk(FORMATS, Budget(Limits(timeout_s=2.0), lambda: next(ticks)), met.append)
    slow.run(Content(zip_of({str(i): b"x" for i in range(10)}), ("f",)))
    assert slow.incomplete == [Incomplete("timeout", 2)]
    assert 1 < len(met) < 10


def test_a_clock_that_stands_still_stops_nothing() -> None:
    met: list[Content] = []
    Walk(FORMATS, Budget(Limits(), FakeClock().monotonic_ns), met.append).run(Content(nested(2), ("f",)))
    assert len(met) == 3

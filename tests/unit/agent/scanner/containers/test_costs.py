from collections.abc import Iterator

import pytest

from agent.domain.facts import Cost
from agent.scanner.containers.costs import CostLedger


class Time:
    def __init__(self) -> None:
        self.now_ns = 0

    def pass_us(self, microseconds: int) -> None:
        self.now_ns += microseconds * 1_000


def test_what_is_done_with_a_member_is_not_its_containers_cost() -> None:
    time = Time()
    ledger = CostLedger(lambda: time.now_ns)

    def members() -> Iterator[str]:
        time.pass_us(10)
        yield "a"
        time.pass_us(20)
        yield "b"
        time.pass_us(5)

    for _ in ledger.unpacking("zip", members()):
        time.pass_us(1_000)
    assert ledger.costs() == (Cost("zip", 35, 2),)


def test_a_container_that_breaks_has_cost_something_too() -> None:
    time = Time()
    ledger = CostLedger(lambda: time.now_ns)

    def members() -> Iterator[str]:
        yield from ()
        time.pass_us(7)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(ledger.unpacking("zip", members()))
    assert ledger.costs() == (Cost("zip", 7, 0),)


def test_the_most_comes_first() -> None:
    time = Time()
    ledger = CostLedger(lambda: time.now_ns)
    for name, microseconds in (("few", 1), ("many", 50), ("few", 2)):
        since_ns = time.now_ns
        time.pass_us(microseconds)
        ledger.spend(name, since_ns)
    assert ledger.costs() == (Cost("many", 50, 1), Cost("few", 3, 2))
    assert ledger.spent_us() == 53

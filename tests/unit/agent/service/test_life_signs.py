import asyncio

import pytest

from agent.domain.health import HealthIssue
from agent.service.life_signs import LifeSigns, status_line
from tests.fakes.waiting import until

PROVEN = "protected roots=/home source=fanotify"
OFF = HealthIssue("real_time_off", "files are not watched")
OLD = HealthIssue("signatures_old", "old")


class Heard:
    """Implements `Notice`; keeps what was said."""

    def __init__(self, alive_within_s: float | None = 0.02) -> None:
        self.alive_within_s = alive_within_s
        self.said: list[tuple[str, str]] = []

    def ready(self, status: str) -> None:
        self.said.append(("ready", status))

    def alive(self, status: str) -> None:
        self.said.append(("alive", status))

    def still_starting(self, status: str, more_time_s: float) -> None:
        assert more_time_s > 0
        self.said.append(("starting", status))

    def count(self, what: str) -> int:
        return sum(1 for word, _ in self.said if word == what)


async def test_until_it_is_proven_it_asks_for_time_and_then_gives_signs() -> None:
    heard = Heard()
    signs = LifeSigns(heard, list)
    running = asyncio.ensure_future(signs.run())
    await until(lambda: heard.count("starting") >= 2)
    assert heard.count("alive") == heard.count("ready") == 0
    signs.proven(PROVEN)
    await until(lambda: heard.count("alive") >= 2)
    running.cancel()
    assert heard.count("ready") == 1
    assert heard.said[-1] == ("alive", PROVEN)


async def test_where_nobody_asks_for_signs_it_still_says_how_it_is() -> None:
    heard = Heard(alive_within_s=None)
    running = asyncio.ensure_future(LifeSigns(heard, lambda: [OFF]).run())
    await until(lambda: bool(heard.said))
    running.cancel()
    assert heard.said == [("starting", "not protected yet: real_time_off")]


@pytest.mark.parametrize(
    ("proven", "issues", "line"),
    [
        ("", [], "starting"),
        ("", [OFF, OFF, OLD], "not protected yet: real_time_off, signatures_old"),
        (PROVEN, [], PROVEN),
        (PROVEN, [OLD], f"{PROVEN}; issues: signatures_old"),
        (PROVEN, [OLD, OFF], "not protected: signatures_old, real_time_off"),
    ],
)
def test_the_line_never_says_protected_when_it_is_not(proven: str, issues: list[HealthIssue], line: str) -> None:
    assert status_line(proven, issues) == line

import pytest

from agent.domain.errors import BucklerError
from agent.platform.fanotify import permitted
from agent.realtime.selection import choose_source
from agent.realtime.settings import BlockSettings
from tests.fakes.clock import FakeClock


def choose(wanted: str) -> str:
    return choose_source(
        wanted, excluded=[], locked=[], own_pids=frozenset, clock=FakeClock(), block=BlockSettings()
    ).name


def test_automatic_choice_takes_the_kernels_own_where_it_may() -> None:
    assert choose("auto") == ("fanotify" if permitted() else "watchdog")


def test_watchdog_can_always_be_had() -> None:
    assert choose("watchdog") == "watchdog"


def test_fanotify_by_name_is_given_or_refused_with_the_next_step() -> None:
    if permitted():
        assert choose("fanotify") == "fanotify"
        return
    with pytest.raises(BucklerError) as refusal:
        choose("fanotify")
    assert refusal.value.code == "FANOTIFY_NOT_PERMITTED"
    assert "watchdog" in refusal.value.next_step


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(BucklerError) as refusal:
        choose("inotify")
    assert refusal.value.code == "SOURCE_UNKNOWN"

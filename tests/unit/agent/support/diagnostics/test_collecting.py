"""Gathering: what fails, hangs, is too large or too private is told, and the rest comes."""

import json
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from agent.domain.errors import BucklerError
from agent.support.diagnostics import collecting
from agent.support.diagnostics.collecting import Collector, Item, ItemStatus, Keep, NotHereError, collect_all
from agent.support.redaction import Json, Private, RedactionPolicy, Redactor
from tests.fakes.clock import FakeClock

PRIVATE = Private(("margaret",), ("/home/margaret",), ("hunter22",))


def gathered(*collectors: Collector) -> tuple[Item, ...]:
    return collect_all(collectors, Redactor(PRIVATE, RedactionPolicy()), FakeClock())


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Something that hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_one_that_fails_is_told_and_the_others_come(held: threading.Event) -> None:
    def absent() -> Json:
        raise NotHereError("no folder /home/margaret/x")

    def refused() -> Json:
        raise BucklerError("DATABASE_DAMAGED", "hunter22 is damaged", next_step="move it aside")

    def broken() -> Json:
        raise ZeroDivisionError("margaret")

    def hangs() -> Json:
        held.wait()
        return ""

    items = gathered(
        Collector("hangs.txt", "wait", hangs, patience_s=0.2),
        Collector("absent.json", "look", absent),
        Collector("refused.json", "open", refused),
        Collector("broken.json", "divide", broken),
        Collector("fine.json", "ask", lambda: {"root": "/home/margaret/src"}),
    )
    assert [(item.status, item.error) for item in items] == [
        (ItemStatus.FAILED, "no answer within 0.2 s"),
        (ItemStatus.UNAVAILABLE, "no folder [home-1]/x"),
        (ItemStatus.FAILED, "DATABASE_DAMAGED: [secret] is damaged; move it aside"),
        (ItemStatus.FAILED, "ZeroDivisionError: [user-1]"),
        (ItemStatus.COLLECTED, ""),
    ]
    assert json.loads(items[-1].text) == {"root": "[home-1]/src"}
    assert items[-1].redactions == {"home": 1}


def test_a_log_keeps_its_end_and_loses_no_half_secret() -> None:
    lines = [f"{number} password=hunter22" for number in range(1000)]
    (item,) = gathered(Collector("log.txt", "read", lambda: "\n".join(lines), limit=500, keep=Keep.END))
    assert item.status is ItemStatus.TRUNCATED
    assert item.text.startswith("[")
    assert item.text.endswith("999 password=[secret]")
    assert len(item.text) < 600
    assert "hunter" not in item.text


def test_what_redaction_missed_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redactor, "text", lambda _self, text, _name="": text)
    (item,) = gathered(Collector("log.txt", "read", lambda: "by margaret"))
    assert (item.status, item.text) == (ItemStatus.HELD_BACK, "")


def test_a_full_bundle_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "BUNDLE_LIMIT", 10)
    items = gathered(*(Collector(f"{size}.txt", "read", partial("x".__mul__, size)) for size in (8, 8, 2)))
    assert [item.status for item in items] == [ItemStatus.COLLECTED, ItemStatus.HELD_BACK, ItemStatus.COLLECTED]

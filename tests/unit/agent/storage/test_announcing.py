from uuid import UUID

import pytest

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding, Severity
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.storage.announcing import AnnouncingStore
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.store import MemoryStore

RULE = Exclusion("exc_1", ExclusionKind.RULE, "Eicar", "", SOME_MONDAY)
FOUND = Incident(
    UUID(int=1),
    SOME_MONDAY,
    "/a",
    "",
    1,
    (Finding("r", "n", Severity.HIGH),),
    IncidentAction.REPORTED,
    "",
    Origin.SCAN,
    "",
    "",
)


def announcing() -> tuple[AnnouncingStore, list[str]]:
    store, heard = AnnouncingStore(MemoryStore()), list[str]()
    store.when_exclusions_change(lambda: heard.append("exclusions"))
    store.when_outbox_grows(lambda: heard.append("outbox"))
    return store, heard


def test_a_change_is_announced_once_it_can_be_read() -> None:
    store = AnnouncingStore(MemoryStore())
    seen: list[tuple[Exclusion, ...]] = []

    def look() -> None:
        with store.transaction() as tables:
            seen.append(tables.exclusions.all())

    store.when_exclusions_change(look)
    with store.transaction() as tables:
        tables.exclusions.add(RULE)
        assert not seen
    assert seen == [(RULE,)]


def test_each_kind_of_change_is_told_apart_and_reading_is_none() -> None:
    store, heard = announcing()
    with store.transaction() as tables:
        tables.exclusions.all()
        tables.outbox.pending(1)
        tables.settings.put("a", "b")
    assert heard == []
    with store.transaction() as tables:
        tables.outbox.add(FOUND)
    assert heard == ["outbox"]
    with store.transaction() as tables:
        tables.exclusions.remove("exc_9")
    assert heard == ["outbox", "exclusions"]


def test_what_was_rolled_back_is_not_announced() -> None:
    store, heard = announcing()

    def fail() -> None:
        with store.transaction() as tables:
            tables.exclusions.add(RULE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert heard == []

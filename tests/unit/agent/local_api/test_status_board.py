"""What the board makes of what it is told."""

from uuid import UUID

from agent.domain.entitlement import NOT_ACTIVATED
from agent.domain.errors import BucklerError
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.domain.retention import RetentionLimits
from agent.local_api.status import EngineFacts, LicenceFacts, RealtimeFacts, ResourceFacts
from agent.local_api.status_board import StatusBoard, StatusSources
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.store import MemoryStore

AN_INCIDENT = Incident(
    UUID(int=1), SOME_MONDAY, "/x", "cd" * 32, 68, (), IncidentAction.REPORTED, "", Origin.REAL_TIME, "yara", "7"
)


async def test_a_report_that_failed_is_told_as_long_as_something_waits() -> None:
    store = MemoryStore()
    failure = BucklerError("NOTHING_ACCEPTED", "it takes none", next_step="tell the admin")
    sources = StatusSources(
        licence=lambda: LicenceFacts(NOT_ACTIVATED, None, None),
        realtime=RealtimeFacts,
        engine=EngineFacts,
        issues=lambda: (),
        policy_version=lambda: "local-1",
        worker_pids=frozenset,
        resources=ResourceFacts,
        retention=RetentionLimits(),
        not_reported_because=lambda: failure,
    )
    board = StatusBoard(store, FakeClock(), sources, "0.1.0")
    assert (await board.facts()).outbox.error == ""
    with store.transaction() as tables:
        tables.outbox.add(AN_INCIDENT)
    outbox = (await board.facts()).outbox
    assert (outbox.error, outbox.next_step) == ("NOTHING_ACCEPTED: it takes none", "tell the admin")

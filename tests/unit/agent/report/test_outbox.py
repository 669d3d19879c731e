"""Recording a detection."""

from agent.report.outbox import StoredIncidentLog
from tests.fakes.store import MemoryStore
from tests.unit.agent.report.test_sender import an_incident


def test_a_recorded_incident_waits_in_the_outbox_once() -> None:
    store = MemoryStore()
    log = StoredIncidentLog(store)
    log.record(an_incident(1))
    log.record(an_incident(1))
    with store.transaction() as tables:
        assert tables.outbox.pending(10) == [an_incident(1)]

"""Recording a detection that is not followed by a capture.

A detection that *is* followed by one is written by `agent.quarantine`, in the transaction that makes its journal row
final. How the outbox is bounded and ordered is decided in `agent.storage.outbox`.
"""

from agent.domain.incident import Incident
from agent.domain.ports import Store


class StoredIncidentLog:
    """Port `agent.domain.ports.IncidentLog` on the agent's database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, incident: Incident) -> None:
        """Write one incident to the outbox, durably; one that is there already changes nothing.

        Blocks for one synchronous write (a few milliseconds); call it from a thread where that matters.

        Raises:
            BucklerError: The database cannot be written, see `agent.storage.failures`.
        """
        with self._store.transaction() as tables:
            tables.outbox.add(incident)

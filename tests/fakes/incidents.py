"""An incident log that remembers, and keeps each uuid once, as the outbox does."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from agent.domain.incident import Incident


class FakeIncidentLog:
    """Implements `IncidentLog`."""

    def __init__(self) -> None:
        self.incidents: dict[UUID, Incident] = {}
        self.failure: Exception | None = None

    def record(self, incident: "Incident") -> None:
        if self.failure is not None:
            raise self.failure
        self.incidents.setdefault(incident.uuid, incident)

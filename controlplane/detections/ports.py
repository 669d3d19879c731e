"""Who takes detections, and whom they tell; wired in the composition root."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from controlplane.detections.model import ReportedIncident
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import UnitOfWork


class Intake(Protocol):
    """Takes what devices report: straight into the database, or by way of a buffer that outlives this process."""

    async def report(
        self, principal: DevicePrincipal, incidents: Sequence[ReportedIncident], dropped: Mapping[str, int]
    ) -> None:
        """Take incidents, all or none. Once this returns they will be stored, each once, whoever dies meanwhile.

        Args:
            principal: The device, as it proved itself.
            incidents: At most `MAX_INCIDENTS`, valid.
            dropped: Rows the device had to drop since its last report, by class.

        Raises:
            Refusal: `TOO_MANY_INCIDENTS`; if it is asked here already, what the registry says about the device.
        """


class Outlet(Protocol):
    """Tells the systems of an organisation, in the transaction of what happened."""

    async def tell(self, uow: UnitOfWork, org_id: str, kind: str, facts: Mapping[str, str | int]) -> None:
        """Queue an event for everybody who wants to hear of it.

        Args:
            uow: The transaction.
            org_id: Whose.
            kind: A stable name, e.g. `incident.opened`.
            facts: What happened; never a secret.
        """

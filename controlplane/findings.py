"""Puts together the rooms of what is found and of whom it is told; called by the composition root."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.ports import Sealer
from controlplane.detections.incident_rpc import IncidentRpc
from controlplane.detections.incidents import Incidents
from controlplane.detections.service import DetectionService
from controlplane.devices.registry import DeviceRegistry
from controlplane.runtime.clock import Clock
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.server import Register
from controlplane.storage.database import Database
from controlplane.webhooks.ports import Sender
from controlplane.webhooks.rpc import WebhookRpc
from controlplane.webhooks.sending import HttpSender, PublicAddresses
from controlplane.webhooks.service import WebhookService
from wire.v1.incident_pb2_grpc import add_IncidentServiceServicer_to_server
from wire.v1.webhook_pb2_grpc import add_WebhookServiceServicer_to_server


@dataclass(frozen=True, slots=True)
class Findings:
    """What devices found, what people make of it and whom it is told; built."""

    detections: DetectionService
    incidents: Incidents
    webhooks: WebhookService

    def services(self) -> Sequence[Register]:
        """For people."""
        return [
            partial(add_IncidentServiceServicer_to_server, IncidentRpc(self.incidents)),
            partial(add_WebhookServiceServicer_to_server, WebhookRpc(self.webhooks)),
        ]


def build_findings(
    *,
    database: Database,
    registry: DeviceRegistry,
    sealer: Sealer,
    audit: AuditLog,
    clock: Clock,
    wall: Clock,
    randomness: Randomness,
    sender: Sender | None = None,
) -> Findings:
    """Build it.

    Args:
        database: The database.
        registry: The rows of devices.
        sealer: Keeps the secrets of webhooks.
        audit: Records changes.
        clock: Business time.
        wall: The machine's clock.
        randomness: For ids and secrets.
        sender: Posts to webhooks; None: over HTTPS to public addresses.
    """
    webhooks = WebhookService(
        database=database,
        sender=sender or HttpSender(PublicAddresses()),
        sealer=sealer,
        audit=audit,
        clock=clock,
        wall=wall,
        randomness=randomness,
    )
    incidents = Incidents(database=database, registry=registry, outlet=webhooks, audit=audit, clock=clock)
    detections = DetectionService(database=database, registry=registry, incidents=incidents, audit=audit, clock=clock)
    return Findings(detections, incidents, webhooks)

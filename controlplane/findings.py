"""Puts together the rooms of what is found and of whom it is told; called by the composition root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from controlplane.accounts.audit import AuditLog
from controlplane.accounts.ports import Sealer
from controlplane.commands.model import Command, CommandState
from controlplane.detections.incident_rpc import IncidentRpc
from controlplane.detections.incidents import Incidents
from controlplane.detections.model import EndedOrder
from controlplane.detections.outcomes import DetectionOutcomes
from controlplane.detections.ports import Outlet
from controlplane.detections.service import DetectionService
from controlplane.devices.assembly import Fleet, build_fleet
from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.devices.check_ins.nonces import ContactNonces
from controlplane.devices.fleet.expiry import HostExpiry
from controlplane.devices.fleet.standings import Standings
from controlplane.devices.model import Device
from controlplane.devices.ports import ContactSeal, Licences
from controlplane.devices.registry import DeviceRegistry
from controlplane.devices.threats import ActiveThreats
from controlplane.licensing.ports import Notice, NoticeKind, Notices
from controlplane.runtime.clock import Clock
from controlplane.runtime.network.server import Register
from controlplane.runtime.principal import current_actor
from controlplane.runtime.randomness import Randomness
from controlplane.storage.database import Database, UnitOfWork
from controlplane.webhooks.ports import Sender
from controlplane.webhooks.rpc import WebhookRpc
from controlplane.webhooks.sending import HttpSender, PublicAddresses
from controlplane.webhooks.service import WebhookService
from wire.v1.incident_pb2_grpc import add_IncidentServiceServicer_to_server
from wire.v1.webhook_pb2_grpc import add_WebhookServiceServicer_to_server


class CommandOutcomes:
    """Tells detections of commands that ended; implements `commands.ports.CommandWatch`."""

    def __init__(self, outcomes: DetectionOutcomes) -> None:
        self._outcomes = outcomes

    async def ended(self, uow: UnitOfWork, command: Command, now: datetime) -> None:
        """See `commands.ports.CommandWatch`."""
        order = EndedOrder(
            org_id=command.org_id,
            device_id=command.device_id,
            command_id=command.command_id,
            kind=command.kind,
            arguments=command.arguments,
            requester=command.requester,
            succeeded=command.state is CommandState.SUCCEEDED,
            code=command.code,
            message=command.message,
            result=command.result,
            ended_at=command.finished_at or now,
        )
        await self._outcomes.ended(uow, order)


@dataclass(frozen=True, slots=True)
class Findings:
    """What devices found, what people make of it, whom it is told, and who is not waited for; built."""

    detections: DetectionService
    incidents: Incidents
    webhooks: WebhookService
    outcomes: CommandOutcomes
    expiry: HostExpiry

    def services(self) -> Sequence[Register]:
        """For people."""
        return [
            partial(add_IncidentServiceServicer_to_server, IncidentRpc(self.incidents)),
            partial(add_WebhookServiceServicer_to_server, WebhookRpc(self.webhooks)),
        ]


class DeviceAlarms:
    """Tells owners and webhooks of devices that were copied or revoked; implements alarms of `devices.ports`."""

    def __init__(self, *, audit: AuditLog, notices: Notices, outlet: Outlet) -> None:
        self._audit = audit
        self._notices = notices
        self._outlet = outlet

    async def cloned(self, uow: UnitOfWork, device: Device) -> None:
        """See `devices.ports.CloneAlarm`."""
        facts = {"device_id": device.device_id, "device_name": device.name}
        await self._audit.record(
            uow, org_id=device.org_id, action="device.cloned", subject=device.device_id, details=facts
        )
        await self._tell(uow, device, NoticeKind.DEVICE_CLONED, "device.cloned", facts)

    async def revoked(self, uow: UnitOfWork, device: Device, reason: str) -> None:
        """See `devices.ports.RevocationAlarm`; the audit has it already."""
        facts = {"device_id": device.device_id, "device_name": device.name, "actor": current_actor(), "reason": reason}
        await self._tell(uow, device, NoticeKind.DEVICE_REVOKED, "device.revoked", facts)

    async def _tell(
        self, uow: UnitOfWork, device: Device, kind: NoticeKind, event: str, facts: Mapping[str, str]
    ) -> None:
        await self._notices.tell_owner(uow, Notice(device.org_id, kind, device.device_id, facts))
        await self._outlet.tell(uow, device.org_id, event, facts)


class WatchSealer(Sealer, ContactSeal, Protocol):
    """One key does both; implemented by the keys room."""


@dataclass(frozen=True, slots=True)
class WatchGround:
    """What watching over fleets stands on.

    Attributes:
        database: The database.
        registry: The rows of devices.
        standings: What they count as.
        sealer: Keeps the secrets of webhooks, and marks nonces.
        audit: Records changes.
        clock: Business time.
        wall: The machine's clock.
        randomness: For ids, secrets and nonces.
    """

    database: Database
    registry: DeviceRegistry
    standings: Standings
    sealer: WatchSealer
    audit: AuditLog
    clock: Clock
    wall: Clock
    randomness: Randomness


def build_findings(ground: WatchGround, sender: Sender | None = None) -> Findings:
    """Build what is found and told.

    Args:
        ground: What it stands on.
        sender: Posts to webhooks; None: over HTTPS to public addresses.
    """
    webhooks = WebhookService(
        database=ground.database,
        sender=sender or HttpSender(PublicAddresses()),
        sealer=ground.sealer,
        audit=ground.audit,
        clock=ground.clock,
        wall=ground.wall,
        randomness=ground.randomness,
    )
    threats = ActiveThreats(ground.standings)
    incidents = Incidents(
        database=ground.database,
        registry=ground.registry,
        threats=threats,
        outlet=webhooks,
        audit=ground.audit,
        clock=ground.clock,
    )
    detections = DetectionService(
        database=ground.database, registry=ground.registry, incidents=incidents, audit=ground.audit, clock=ground.clock
    )
    expiry = HostExpiry(database=ground.database, standings=ground.standings, audit=ground.audit, clock=ground.clock)
    return Findings(detections, incidents, webhooks, CommandOutcomes(DetectionOutcomes(threats)), expiry)


def build_watch(
    ground: WatchGround,
    alarms: DeviceAlarms,
    licences: Licences,
    write_every: timedelta = WRITE_EVERY,
) -> Fleet:
    """Build what hears devices and answers about them."""
    return build_fleet(
        database=ground.database,
        registry=ground.registry,
        standings=ground.standings,
        licences=licences,
        nonces=ContactNonces(ground.sealer, ground.randomness),
        alarm=alarms,
        clock=ground.clock,
        write_every=write_every,
    )

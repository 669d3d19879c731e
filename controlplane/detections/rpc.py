"""The calls about detections: checked one incident at a time, translated both ways.

`DeviceService` and `FleetService` hand these calls on (port `devices.ports.DetectionCalls`).
"""

from controlplane.detections.errors import too_many_incidents
from controlplane.detections.model import MAX_INCIDENTS, Detection, DetectionOutcome, ReportedIncident
from controlplane.detections.ports import Intake
from controlplane.detections.reading import (
    MAX_NAME_CHARACTERS,
    UUID_BYTES,
    incident_message,
    read_dropped,
    read_incident,
)
from controlplane.detections.service import DETECTION_KEY, DetectionFilter, DetectionService
from controlplane.runtime.fields import instant, invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2, fleet_pb2


class DetectionRpc:
    """Implements `devices.ports.DetectionCalls`.

    Args:
        service: Looks at detections.
        intake: Takes them; None: the service itself.
    """

    def __init__(self, service: DetectionService, intake: Intake | None = None) -> None:
        self._service = service
        self._intake: Intake = service if intake is None else intake

    async def report_events(
        self, request: device_pb2.ReportEventsRequest, principal: DevicePrincipal
    ) -> device_pb2.ReportEventsResponse:
        """Answer `ReportEvents`: valid incidents are stored together, malformed ones named with the reason."""
        if len(request.incidents) > MAX_INCIDENTS:
            raise too_many_incidents(MAX_INCIDENTS)
        valid: dict[bytes, ReportedIncident] = {}
        rejected = []
        for untrusted_incident in request.incidents:
            try:
                incident = read_incident(untrusted_incident)
            except Refusal as refusal:
                uuid = untrusted_incident.uuid[:UUID_BYTES]
                rejected.append(device_pb2.RejectedIncident(uuid=uuid, reason=refusal.message))
            else:
                valid.setdefault(incident.uuid, incident)
        await self._intake.report(principal, list(valid.values()), read_dropped(request))
        return device_pb2.ReportEventsResponse(accepted_uuids=list(valid), rejected=rejected)

    async def list_detections(
        self, request: fleet_pb2.ListDetectionsRequest, org_id: str
    ) -> fleet_pb2.ListDetectionsResponse:
        """Answer `ListDetections`."""
        page = read_page(request.page.page_size, request.page.page_token, DETECTION_KEY)
        wanted = DetectionFilter(
            device_id=text("device_id", request.device_id, limit=MAX_NAME_CHARACTERS),
            since=instant("since_at_us", request.since_at_us),
            incident_id=text("incident_id", request.incident_id, limit=MAX_NAME_CHARACTERS),
            oldest_first=request.oldest_first,
        )
        found = await self._service.page(org_id, page, wanted)
        return fleet_pb2.ListDetectionsResponse(
            detections=[_message(detection) for detection in found.detections],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def get_detection(self, request: fleet_pb2.GetDetectionRequest, org_id: str) -> fleet_pb2.Detection:
        """Answer `GetDetection`."""
        if len(request.uuid) != UUID_BYTES:
            raise invalid("uuid", f"does not have {UUID_BYTES} bytes")
        return _message(await self._service.get(org_id, request.uuid))

    async def count_last_24_h(self, org_id: str) -> int:
        """Detections received in the last 24 hours."""
        return await self._service.count_recent(org_id)


def _message(detection: Detection) -> fleet_pb2.Detection:
    return fleet_pb2.Detection(
        incident=incident_message(detection.incident),
        device_id=detection.device_id,
        device_name=detection.device_name,
        received_at_us=to_microseconds(detection.received_at),
        incident_id=detection.incident_id,
        outcome=None if detection.outcome is None else _outcome(detection.outcome),
    )


def _outcome(outcome: DetectionOutcome) -> fleet_pb2.DetectionOutcome:
    return fleet_pb2.DetectionOutcome(
        outcome=outcome.outcome,
        at_us=to_microseconds(outcome.at),
        asked_by=outcome.by,
        command_id=outcome.command_id,
        kind=outcome.kind,
        code=outcome.code,
        message=outcome.message,
        quarantine_id=outcome.quarantine_id,
    )

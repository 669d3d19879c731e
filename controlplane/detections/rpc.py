"""The calls about detections: checked one incident at a time, translated both ways.

`DeviceService` and `FleetService` hand these calls on (port `devices.ports.DetectionCalls`).
"""

import re

from controlplane.detections.errors import too_many_incidents
from controlplane.detections.model import MAX_INCIDENTS, Detection, DetectionOutcome, Finding, ReportedIncident
from controlplane.detections.service import DETECTION_KEY, DetectionFilter, DetectionService
from controlplane.runtime.fields import MAX_BIGINT, harmless_text, instant, invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2, fleet_pb2

UUID_BYTES = 16
#: PATH_MAX of Linux, the longest of the systems we know.
MAX_PATH_BYTES = 4_096
MAX_FINDINGS = 100
MAX_MEMBER_DEPTH = 32
MAX_MEMBER_CHARACTERS = 1_024
MAX_NAME_CHARACTERS = 255
MAX_DETAIL_CHARACTERS = 1_000
MAX_DROP_CLASSES = 16

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ACTIONS = {
    device_pb2.INCIDENT_ACTION_REPORTED: "reported",
    device_pb2.INCIDENT_ACTION_QUARANTINED: "quarantined",
    device_pb2.INCIDENT_ACTION_QUARANTINE_FAILED: "quarantine_failed",
    device_pb2.INCIDENT_ACTION_BLOCKED: "blocked",
}
_ACTIONS_ON_THE_WIRE = {name: number for number, name in _ACTIONS.items()}
_SEVERITIES = frozenset({"critical", "high", "medium", "low", "info"})
_ORIGINS = frozenset({"real_time", "scan", "reconcile"})


class DetectionRpc:
    """Implements `devices.ports.DetectionCalls`."""

    def __init__(self, service: DetectionService) -> None:
        self._service = service

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
        await self._service.report(principal, list(valid.values()), _dropped(request))
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


def read_incident(untrusted: device_pb2.Incident) -> ReportedIncident:
    """Check one incident. What identifies and classifies it must be right; its texts are made harmless.

    Raises:
        Refusal: `INVALID_REQUEST`, naming the field.
    """
    if len(untrusted.uuid) != UUID_BYTES:
        raise invalid("uuid", f"does not have {UUID_BYTES} bytes")
    detected_at = instant("detected_at_us", untrusted.detected_at_us)
    if detected_at is None:
        raise invalid("detected_at_us", "is missing")
    if not 0 < len(untrusted.path) <= MAX_PATH_BYTES:
        raise invalid("path", f"does not have 1 to {MAX_PATH_BYTES} bytes")
    if untrusted.sha256 and _SHA256.fullmatch(untrusted.sha256) is None:
        raise invalid("sha256", "is not 64 lower-case hexadecimal digits")
    if untrusted.size_bytes > MAX_BIGINT:
        raise invalid("size_bytes", "is larger than any file")
    if untrusted.action not in _ACTIONS:
        raise invalid("action", "is not a known action")
    if untrusted.origin not in _ORIGINS:
        raise invalid("origin", f"is not one of {', '.join(sorted(_ORIGINS))}")
    if not 0 < len(untrusted.findings) <= MAX_FINDINGS:
        raise invalid("findings", f"does not have 1 to {MAX_FINDINGS} entries")
    return ReportedIncident(
        uuid=untrusted.uuid,
        detected_at=detected_at,
        path=untrusted.path,
        sha256=untrusted.sha256,
        size_bytes=untrusted.size_bytes,
        findings=tuple(_read_finding(finding) for finding in untrusted.findings),
        action=_ACTIONS[untrusted.action],
        action_detail=harmless_text(untrusted.action_detail, limit=MAX_DETAIL_CHARACTERS),
        origin=untrusted.origin,
        engine=harmless_text(untrusted.engine, limit=MAX_NAME_CHARACTERS),
        signatures_version=harmless_text(untrusted.signatures_version, limit=MAX_NAME_CHARACTERS),
        quarantine_id=text("quarantine_id", untrusted.quarantine_id, limit=MAX_NAME_CHARACTERS),
    )


def _read_finding(untrusted: device_pb2.Finding) -> Finding:
    if not untrusted.rule:
        raise invalid("findings.rule", "is empty")
    if untrusted.severity not in _SEVERITIES:
        raise invalid("findings.severity", f"is not one of {', '.join(sorted(_SEVERITIES))}")
    if len(untrusted.member_path) > MAX_MEMBER_DEPTH:
        raise invalid("findings.member_path", f"is deeper than {MAX_MEMBER_DEPTH}")
    return Finding(
        rule=harmless_text(untrusted.rule, limit=MAX_NAME_CHARACTERS),
        namespace=harmless_text(untrusted.namespace, limit=MAX_NAME_CHARACTERS),
        severity=untrusted.severity,
        member_path=tuple(harmless_text(part, limit=MAX_MEMBER_CHARACTERS) for part in untrusted.member_path),
        threat_name=harmless_text(untrusted.threat_name, limit=MAX_NAME_CHARACTERS),
        credit=harmless_text(untrusted.credit, limit=MAX_DETAIL_CHARACTERS),
    )


def _dropped(request: device_pb2.ReportEventsRequest) -> dict[str, int]:
    if len(request.dropped) > MAX_DROP_CLASSES:
        raise invalid("dropped", f"has more than {MAX_DROP_CLASSES} classes")
    return {
        text("dropped", name, limit=MAX_NAME_CHARACTERS, required=True): count
        for name, count in request.dropped.items()
        if count
    }


def _message(detection: Detection) -> fleet_pb2.Detection:
    incident = detection.incident
    return fleet_pb2.Detection(
        incident=device_pb2.Incident(
            uuid=incident.uuid,
            detected_at_us=to_microseconds(incident.detected_at),
            path=incident.path,
            sha256=incident.sha256,
            size_bytes=incident.size_bytes,
            findings=[
                device_pb2.Finding(
                    rule=finding.rule,
                    namespace=finding.namespace,
                    severity=finding.severity,
                    member_path=finding.member_path,
                    threat_name=finding.threat_name,
                    credit=finding.credit,
                )
                for finding in incident.findings
            ],
            action=_ACTIONS_ON_THE_WIRE[incident.action],
            action_detail=incident.action_detail,
            origin=incident.origin,
            engine=incident.engine,
            signatures_version=incident.signatures_version,
            quarantine_id=incident.quarantine_id,
        ),
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

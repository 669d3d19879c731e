"""Incidents as devices tell them: from the wire, checked, and back onto it."""

import re

from controlplane.detections.model import Finding, ReportedIncident
from controlplane.runtime.fields import MAX_BIGINT, harmless_text, instant, invalid, text
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2

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


def read_dropped(request: device_pb2.ReportEventsRequest) -> dict[str, int]:
    """Rows that a device had to drop, by class.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if len(request.dropped) > MAX_DROP_CLASSES:
        raise invalid("dropped", f"has more than {MAX_DROP_CLASSES} classes")
    return {
        text("dropped", name, limit=MAX_NAME_CHARACTERS, required=True): count
        for name, count in request.dropped.items()
        if count
    }


def incident_message(incident: ReportedIncident) -> device_pb2.Incident:
    """As it travels."""
    return device_pb2.Incident(
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
    )

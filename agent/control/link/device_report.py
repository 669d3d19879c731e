"""What a device says about itself and its detections, in the words of the wire."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.domain.health import HealthIssue
from agent.domain.incident import Incident, IncidentAction
from agent.domain.scan_age import ScanAge
from wire.instants import to_us
from wire.v1 import device_pb2
from wire.v1.common_pb2 import Platform

_ACTIONS = {
    IncidentAction.REPORTED: device_pb2.INCIDENT_ACTION_REPORTED,
    IncidentAction.QUARANTINED: device_pb2.INCIDENT_ACTION_QUARANTINED,
    IncidentAction.QUARANTINE_FAILED: device_pb2.INCIDENT_ACTION_QUARANTINE_FAILED,
    IncidentAction.BLOCKED: device_pb2.INCIDENT_ACTION_BLOCKED,
}


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """The state of protection at one instant, as `CheckIn` carries it; meanings as in device.proto."""

    real_time_enabled: bool
    proven_at: datetime | None
    subsystem: str
    mode: str
    issues: tuple[HealthIssue, ...]
    engine: str
    engine_version: str
    signatures_version: str
    signatures_made_at: datetime | None
    events_lost: int
    queue_depth: int
    quarantined_count: int
    outbox_pending: int
    watched_roots: int
    os: str
    os_version: str
    architecture: str
    agent_version: str
    policy_desired: str = ""
    policy_applied: str = ""
    policy_refusal: str = ""
    scans: ScanAge | None = None


def is_worth_telling(told: DeviceReport, now: DeviceReport) -> bool:
    """Whether a report says more than the last one; how long queues are, and when a proof was repeated, may wait."""
    same = replace(now, proven_at=told.proven_at, queue_depth=told.queue_depth, outbox_pending=told.outbox_pending)
    return same != told or (now.proven_at is None) != (told.proven_at is None)


def status_to_wire(report: DeviceReport) -> device_pb2.DeviceStatus:
    """A report as a message."""
    return device_pb2.DeviceStatus(
        real_time_protection_enabled=report.real_time_enabled,
        real_time_protection_proven_at_us=to_us(report.proven_at),
        real_time_protection_subsystem=report.subsystem,
        real_time_protection_mode=report.mode,
        health_issues=[device_pb2.HealthIssue(code=issue.code, message=issue.message) for issue in report.issues],
        engine=report.engine,
        engine_version=report.engine_version,
        signatures_version=report.signatures_version,
        signatures_made_at_us=to_us(report.signatures_made_at),
        events_lost=report.events_lost,
        queue_depth=report.queue_depth,
        quarantined_count=report.quarantined_count,
        outbox_pending=report.outbox_pending,
        watched_roots=report.watched_roots,
        platform=Platform(
            os=report.os,
            os_version=report.os_version,
            architecture=report.architecture,
            agent_version=report.agent_version,
        ),
        policy_version_desired=report.policy_desired,
        policy_version_applied=report.policy_applied,
        policy_refusal=clean_text(report.policy_refusal),
        scans=_scans(report.scans) if report.scans is not None else None,
    )


def _scans(scans: ScanAge) -> device_pb2.ScanStanding:
    return device_pb2.ScanStanding(
        last_quick_scan_at_us=to_us(scans.last_quick),
        last_full_scan_at_us=to_us(scans.last_full),
        counted_from_at_us=to_us(scans.counted_from),
        limit_days=scans.limit_days,
    )


def batch_to_wire(incidents: Sequence[Incident], dropped: Mapping[str, int]) -> device_pb2.ReportEventsRequest:
    """A batch of detections as a message."""
    return device_pb2.ReportEventsRequest(
        incidents=[_incident(incident) for incident in incidents], dropped=dict(dropped)
    )


def _incident(incident: Incident) -> device_pb2.Incident:
    return device_pb2.Incident(
        uuid=incident.uuid.bytes,
        detected_at_us=to_us(incident.detected_at),
        path=os.fsencode(incident.path),
        sha256=incident.sha256,
        size_bytes=incident.size_bytes,
        findings=[
            device_pb2.Finding(
                rule=clean_text(finding.rule),
                namespace=clean_text(finding.namespace),
                severity=finding.severity.value,
                member_path=[clean_text(part) for part in finding.member_path],
                threat_name=clean_text(finding.threat_name),
                credit=clean_text(finding.credit),
            )
            for finding in incident.findings
        ],
        action=_ACTIONS[incident.action],
        action_detail=clean_text(incident.action_detail),
        origin=incident.origin.value,
        engine=incident.engine,
        signatures_version=incident.signatures_version,
        quarantine_id=incident.quarantine_id,
    )


def clean_text(text: str) -> str:
    """Names inside archives are any bytes; a message field is UTF-8 and refuses lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

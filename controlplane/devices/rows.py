"""Rows of devices and of their reports, read as values."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Join, Row, and_, func, literal, select

from controlplane.devices.identity.lineage import NOTHING_SHOWN, Shown
from controlplane.devices.model import Device, DeviceReport, DeviceStatus, HealthIssue, Platform, ScanStanding
from controlplane.devices.tables import active_threats, device_statuses, devices
from controlplane.storage.types import Instant


def with_status() -> Join:
    """Devices beside their last report, if there is one."""
    same = and_(devices.c.org_id == device_statuses.c.org_id, devices.c.device_id == device_statuses.c.device_id)
    return devices.outerjoin(device_statuses, same)


_THREATS = (
    select(func.count())
    .select_from(active_threats)
    .where(
        active_threats.c.org_id == device_statuses.c.org_id,
        active_threats.c.device_id == device_statuses.c.device_id,
        active_threats.c.judged_at.is_(None),
    )
    .correlate(device_statuses)
    .scalar_subquery()
    .label("active_threats")
)
#: Columns of `device_statuses` that `devices` does not have, and how many threats are active.
STATUS_COLUMNS = (
    *(column for column in device_statuses.columns if column.name not in {"org_id", "device_id"}),
    _THREATS,
)


def device_of(row: Row[Any]) -> Device:
    """A device from a row that has every column of `devices`."""
    return Device(
        org_id=row.org_id,
        device_id=row.device_id,
        name=row.name,
        platform=Platform(row.os, row.os_version, row.architecture, row.agent_version),
        public_key_sha256=row.public_key_sha256,
        activated_at=row.activated_at,
        deactivated_at=row.deactivated_at,
        revoked_at=row.revoked_at,
    )


def status_of(row: Row[Any]) -> DeviceStatus | None:
    """The last report from a row that has `STATUS_COLUMNS`; None: the device never reported."""
    if row.last_seen is None:
        return None
    report = DeviceReport(
        real_time_enabled=row.real_time_enabled,
        proven_at=row.proven_at,
        health_issues=tuple(HealthIssue(code, message) for code, message in json.loads(row.health_issues)),
        signatures_made_at=row.signatures_made_at,
        events_lost=row.events_lost,
        platform=None,
        raw=row.report,
        scans=None if row.scanned_at is None else ScanStanding(row.scanned_at, row.scan_limit_days),
        policy_behind=row.policy_behind_since is not None,
    )
    shown = NOTHING_SHOWN if row.contact_name is None else Shown(row.contact_depth, row.contact_name)
    return DeviceStatus(
        report=report,
        last_seen=row.last_seen,
        events_lost_at=row.events_lost_at,
        cloned_at=row.cloned_at,
        shown=shown,
        policy_behind_since=row.policy_behind_since,
        active_threats=row.active_threats,
        expired_at=row.expired_at,
    )


def scan_columns(report: DeviceReport) -> dict[str, Any]:
    """Columns about scans, as a report has them."""
    scans = report.scans
    return {
        "scanned_at": None if scans is None else scans.scanned_at,
        "scan_limit_days": None if scans is None else scans.limit_days,
    }


def behind_since(report: DeviceReport, now: datetime) -> dict[str, Any]:
    """The column about policies, for a row that is there: as long as a device stays behind, the first time is kept."""
    since = func.coalesce(device_statuses.c.policy_behind_since, literal(now, Instant))
    return {"policy_behind_since": since if report.policy_behind else None}


def issues_json(issues: tuple[HealthIssue, ...]) -> str:
    """Health issues as they are kept."""
    return json.dumps([[issue.code, issue.message] for issue in issues])

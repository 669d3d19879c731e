"""Rows of devices and of their reports, read as values."""

import json
from typing import Any

from sqlalchemy import Join, Row, and_

from controlplane.devices.lineage import NOTHING_SHOWN, Shown
from controlplane.devices.model import Device, DeviceReport, DeviceStatus, HealthIssue, Platform
from controlplane.devices.tables import device_statuses, devices


def with_status() -> Join:
    """Devices beside their last report, if there is one."""
    same = and_(devices.c.org_id == device_statuses.c.org_id, devices.c.device_id == device_statuses.c.device_id)
    return devices.outerjoin(device_statuses, same)


#: Columns of `device_statuses` that `devices` does not have.
STATUS_COLUMNS = tuple(column for column in device_statuses.columns if column.name not in {"org_id", "device_id"})


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
    )
    shown = NOTHING_SHOWN if row.contact_name is None else Shown(row.contact_depth, row.contact_name)
    return DeviceStatus(report, row.last_seen, row.events_lost_at, row.cloned_at, shown)


def issues_json(issues: tuple[HealthIssue, ...]) -> str:
    """Health issues as they are kept."""
    return json.dumps([[issue.code, issue.message] for issue in issues])

"""Answers of the server as plain rows: what `--output json` prints and what the tables are made from."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from controlplane.cli.ctl.money_rows import amount_row
from controlplane.storage.microseconds import from_microseconds
from wire.v1 import (
    command_pb2,
    common_pb2,
    device_pb2,
    diagnostics_pb2,
    fleet_pb2,
    incident_pb2,
    licensing_pb2,
    subscription_pb2,
    webhook_pb2,
)


def moment(microseconds: int) -> datetime | None:
    """A moment on the wire; 0 is none."""
    return from_microseconds(microseconds) if microseconds else None


def access_name(level: int) -> str:
    """`full`, `grace`, `limited` or `ended`."""
    return _short(common_pb2.AccessLevel.Name, level, "ACCESS_LEVEL_")


def protection_name(state: int) -> str:
    """`protected`, `at_risk`, `unprotected`, `offline` or `never_seen`."""
    return _short(common_pb2.ProtectionState.Name, state, "PROTECTION_STATE_")


def action_name(action: int) -> str:
    """`reported`, `quarantined`, `quarantine_failed` or `blocked`."""
    return _short(device_pb2.IncidentAction.Name, action, "INCIDENT_ACTION_")


def device_row(device: fleet_pb2.Device) -> dict[str, Any]:
    """A device, without its status."""
    return {
        "device_id": device.device_id,
        "name": device.name,
        "protection": protection_name(device.protection),
        "reasons": [{"code": reason.code, "message": reason.message} for reason in device.reasons],
        "access": access_name(device.access),
        "seat_id": device.seat_id or None,
        "os": device.platform.os,
        "os_version": device.platform.os_version,
        "architecture": device.platform.architecture,
        "agent_version": device.platform.agent_version,
        "activated_at": moment(device.activated_at_us),
        "last_seen_at": moment(device.last_seen_at_us),
    }


def revocation_row(device: fleet_pb2.Device) -> dict[str, Any] | None:
    """When a device was revoked, by whom and why; None: it was not."""
    if not device.HasField("revocation"):
        return None
    revocation = device.revocation
    return {
        "at": moment(revocation.at_us),
        "actor": revocation.actor or None,
        "actor_email": revocation.actor_email or None,
        "reason": revocation.reason or None,
    }


def status_row(status: device_pb2.DeviceStatus) -> dict[str, Any]:
    """What a device last said about itself."""
    return {
        "real_time_protection_enabled": status.real_time_protection_enabled,
        "real_time_protection_proven_at": moment(status.real_time_protection_proven_at_us),
        "real_time_protection_subsystem": status.real_time_protection_subsystem,
        "real_time_protection_mode": status.real_time_protection_mode,
        "health_issues": [{"code": issue.code, "message": issue.message} for issue in status.health_issues],
        "engine": status.engine,
        "engine_version": status.engine_version,
        "signatures_version": status.signatures_version,
        "signatures_made_at": moment(status.signatures_made_at_us),
        "events_lost": status.events_lost,
        "queue_depth": status.queue_depth,
        "quarantined_count": status.quarantined_count,
        "outbox_pending": status.outbox_pending,
        "watched_roots": status.watched_roots,
        "last_quick_scan": moment(status.scans.last_quick_scan_at_us),
        "last_full_scan": moment(status.scans.last_full_scan_at_us),
        "scan_limit_days": status.scans.limit_days if status.HasField("scans") else None,
    }


def fleet_row(status: fleet_pb2.FleetStatus) -> dict[str, Any]:
    """The summary."""
    return {
        "devices": status.devices,
        "protected": status.protected,
        "at_risk": status.at_risk,
        "unprotected": status.unprotected,
        "offline": status.offline,
        "never_seen": status.never_seen,
        "expired": status.expired,
        "detections_last_24_h": status.detections_last_24_h,
        "as_of": moment(status.as_of_at_us),
        "unsettled": status.unsettled,
        "reasons": {reason.code: reason.devices for reason in status.reasons},
        "attention": [device_row(device) for device in status.attention],
    }


def command_state_name(state: int) -> str:
    """`pending`, `delivered`, `in_progress`, `succeeded`, `failed`, `timed_out`, `cancelled` or `expired`."""
    return _short(command_pb2.CommandState.Name, state, "COMMAND_STATE_")


def command_row(record: command_pb2.CommandRecord) -> dict[str, Any]:
    """A command and what became of it."""
    command = record.command
    return {
        "command_id": command.command_id,
        "device_id": record.device_id,
        "device_name": record.device_name,
        "kind": command.kind,
        "arguments": dict(sorted(command.arguments.items())),
        "state": command_state_name(record.state),
        "code": record.code,
        "message": record.message,
        "result": dict(sorted(record.result.items())),
        "requester": command.requester,
        "reason": command.reason,
        "campaign_id": record.campaign_id or None,
        "requested_at": moment(record.requested_at_us),
        "expires_at": moment(command.expires_at_us),
        "delivered_at": moment(record.delivered_at_us),
        "started_at": moment(record.started_at_us),
        "finished_at": moment(record.finished_at_us),
        "cancel_requested_at": moment(record.cancel_requested_at_us),
    }


def bundle_row(record: diagnostics_pb2.BundleRecord) -> dict[str, Any]:
    """A diagnostics bundle and how far it is."""
    return {
        "bundle_id": record.command_id,
        "device_id": record.device_id,
        "device_name": record.device_name,
        "state": record.state,
        "requester": record.requester,
        "reason": record.reason,
        "requested_at": moment(record.requested_at_us),
        "received_at": moment(record.received_at_us),
        "expires_at": moment(record.expires_at_us),
        "size": record.size_bytes,
        "received_bytes": record.received_bytes,
        "code": record.code,
        "message": record.message,
    }


def campaign_row(campaign: command_pb2.Campaign) -> dict[str, Any]:
    """One command for many devices."""
    return {
        "campaign_id": campaign.campaign_id,
        "kind": campaign.kind,
        "arguments": dict(sorted(campaign.arguments.items())),
        "state": _short(command_pb2.CampaignState.Name, campaign.state, "CAMPAIGN_STATE_"),
        "counts": dict(sorted(campaign.counts.items())),
        "devices_per_minute": campaign.devices_per_minute,
        "stop_after_failures": campaign.stop_after_failures,
        "requester": campaign.requester,
        "reason": campaign.reason,
        "requested_at": moment(campaign.requested_at_us),
    }


def detection_row(detection: fleet_pb2.Detection) -> dict[str, Any]:
    """A detection. Bytes of the path that are no UTF-8 come as lone surrogates, as Python's own JSON has them."""
    incident = detection.incident
    return {
        "uuid": str(UUID(bytes=incident.uuid)),
        "device_id": detection.device_id,
        "device_name": detection.device_name,
        "path": incident.path.decode("utf-8", "surrogateescape"),
        "threats": _threats(incident.findings),
        "incident_id": detection.incident_id or None,
        "action": action_name(incident.action),
        "action_detail": incident.action_detail,
        "origin": incident.origin,
        "sha256": incident.sha256,
        "size_bytes": incident.size_bytes,
        "quarantine_id": incident.quarantine_id or None,
        "engine": incident.engine,
        "signatures_version": incident.signatures_version,
        "detected_at": moment(incident.detected_at_us),
        "received_at": moment(detection.received_at_us),
        "outcome": _outcome_row(detection.outcome) if detection.HasField("outcome") else None,
        "findings": [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity,
                "member": "!".join(finding.member_path) or None,
                "threat_name": finding.threat_name or None,
                "credit": finding.credit or None,
            }
            for finding in incident.findings
        ],
    }


def _outcome_row(outcome: fleet_pb2.DetectionOutcome) -> dict[str, Any]:
    return {
        "outcome": outcome.outcome,
        "kind": outcome.kind,
        "at": moment(outcome.at_us),
        "asked_by": outcome.asked_by,
        "command_id": outcome.command_id,
        "code": outcome.code,
        "message": outcome.message,
        "quarantine_id": outcome.quarantine_id or None,
    }


def incident_row(record: incident_pb2.IncidentRecord) -> dict[str, Any]:
    """An incident; `on` is empty in lists."""
    return {
        "incident_id": record.incident_id,
        "threat": record.threat,
        "severity": record.severity,
        "status": _short(incident_pb2.IncidentStatus.Name, record.status, "INCIDENT_STATUS_"),
        "status_by": record.status_by or None,
        "status_at": moment(record.status_at_us),
        "note": record.note or None,
        "opened_at": moment(record.opened_at_us),
        "last_at": moment(record.last_at_us),
        "devices": record.devices,
        "detections": record.detections,
        "reopened": record.reopened,
        "on": [
            {
                "device_id": each.device_id,
                "device_name": each.device_name,
                "detections": each.detections,
                "first_at": moment(each.first_at_us),
                "last_at": moment(each.last_at_us),
            }
            for each in record.on
        ],
    }


def webhook_row(webhook: webhook_pb2.Webhook) -> dict[str, Any]:
    """A webhook."""
    return {
        "webhook_id": webhook.webhook_id,
        "url": webhook.url,
        "created_at": moment(webhook.created_at_us),
        "waiting": webhook.waiting,
        "dead": webhook.dead,
    }


def dead_row(delivery: webhook_pb2.DeadDelivery) -> dict[str, Any]:
    """A delivery that was given up."""
    return {
        "delivery_id": delivery.delivery_id,
        "webhook_id": delivery.webhook_id,
        "kind": delivery.kind,
        "created_at": moment(delivery.created_at_us),
        "attempts": delivery.attempts,
        "last_error": delivery.last_error,
        "event": json.loads(delivery.body),
    }


def seat_row(seat: licensing_pb2.Seat) -> dict[str, Any]:
    """A seat; holder fields are None when it is free."""
    held = seat.HasField("holder")
    return {
        "seat_id": seat.seat_id,
        "slot": seat.slot,
        "device_id": seat.holder.device_id if held else None,
        "device_name": seat.holder.device_name if held else None,
        "held_since": moment(seat.holder.held_since_at_us) if held else None,
        "last_seen_at": moment(seat.holder.last_seen_at_us) if held else None,
        "pinned": seat.pinned,
    }


def seat_change_row(change: licensing_pb2.SeatChange) -> dict[str, Any]:
    """One entry of the history of seats."""
    return {
        "at": moment(change.happened_at_us),
        "change": change.change,
        "seat_id": change.seat_id,
        "device_id": change.device_id,
        "actor": change.actor,
        "reason": change.reason,
    }


def key_row(key: licensing_pb2.ActivationKey) -> dict[str, Any]:
    """An activation key, without the key."""
    return {
        "key_id": key.key_id,
        "subscription_id": key.subscription_id,
        "hint": key.hint,
        "max_devices": key.max_devices or None,
        "devices_activated": key.devices_activated,
        "created_at": moment(key.created_at_us),
        "expires_at": moment(key.expires_at_us),
        "revoked_at": moment(key.revoked_at_us),
        "replaces_key_id": key.replaces_key_id or None,
    }


def subscription_row(subscription: subscription_pb2.Subscription) -> dict[str, Any]:
    """The three axes of a subscription, and what it covers."""
    return {
        "subscription_id": subscription.subscription_id,
        "plan_id": subscription.plan_id,
        "plan_name": subscription.plan_name,
        "term": subscription.term,
        "seats": subscription.seats,
        "seats_taken": subscription.seats_taken,
        "billing": subscription.billing,
        "renewal": subscription.renewal,
        "access": access_name(subscription.access),
        "access_reason": subscription.access_reason,
        "access_until": moment(subscription.access_until_at_us),
        "period_start": moment(subscription.period_start_at_us),
        "period_end": moment(subscription.period_end_at_us),
        "pending_plan_id": subscription.pending_plan_id or None,
        "pending_term": subscription.pending_term or None,
        "next_charge": amount_row(subscription.next_charge) if subscription.HasField("next_charge") else None,
        "open_invoice_id": subscription.open_invoice_id or None,
        "cancelled_at": moment(subscription.cancelled_at_us),
        "kept_until": moment(subscription.kept_until_at_us),
    }


def _threats(findings: Iterable[device_pb2.Finding]) -> list[str]:
    return list(dict.fromkeys(finding.threat_name or finding.rule for finding in findings))


def _short(name_of: Any, number: int, prefix: str) -> str:
    try:
        name: str = name_of(number)
    except ValueError:  # a newer server
        return f"unknown_{number}"
    return name.removeprefix(prefix).lower()

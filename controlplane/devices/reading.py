"""What devices say about themselves, read from the wire: bounded, and harmless to show."""

from typing import Final

from controlplane.devices.model import DeviceReport, HealthIssue, Platform, ScanStanding
from controlplane.runtime.fields import MAX_BIGINT, harmless_text, instant, invalid
from wire.v1 import common_pb2, device_pb2

MAX_STATUS_BYTES: Final = 64 * 1024
MAX_HEALTH_ISSUES: Final = 100
#: Ten years: nobody means a limit beyond it.
MAX_SCAN_LIMIT_DAYS: Final = 3_652
_MAX_CODE_CHARACTERS: Final = 64
_MAX_MESSAGE_CHARACTERS: Final = 500
#: Operating systems that an agent can name.
KNOWN_SYSTEMS: Final = frozenset({"linux", "macos", "windows"})


def read_serial(field: str, untrusted_serial: int) -> int:
    """A serial that the next one can still follow.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if untrusted_serial >= MAX_BIGINT:
        raise invalid(field, "is higher than any serial")
    return untrusted_serial


def read_platform(untrusted: common_pb2.Platform) -> Platform:
    """What a device runs on.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if untrusted.os not in KNOWN_SYSTEMS:
        raise invalid("platform.os", f"is not one of {', '.join(sorted(KNOWN_SYSTEMS))}")
    return Platform(
        os=untrusted.os,
        os_version=harmless_text(untrusted.os_version, limit=255),
        architecture=harmless_text(untrusted.architecture, limit=64),
        agent_version=harmless_text(untrusted.agent_version, limit=64),
    )


def read_report(untrusted: device_pb2.DeviceStatus) -> DeviceReport:
    """A device's report about itself: bounded, and harmless to show.

    Raises:
        Refusal: `INVALID_REQUEST`.
    """
    if untrusted.ByteSize() > MAX_STATUS_BYTES:
        raise invalid("status", f"is larger than {MAX_STATUS_BYTES} bytes")
    if len(untrusted.health_issues) > MAX_HEALTH_ISSUES:
        raise invalid("status.health_issues", f"has more than {MAX_HEALTH_ISSUES} entries")
    platform = read_platform(untrusted.platform) if untrusted.HasField("platform") else None
    kept = _harmless(untrusted)
    return DeviceReport(
        real_time_enabled=kept.real_time_protection_enabled,
        proven_at=instant("status.real_time_protection_proven_at_us", kept.real_time_protection_proven_at_us),
        health_issues=tuple(HealthIssue(issue.code, issue.message) for issue in kept.health_issues),
        signatures_made_at=instant("status.signatures_made_at_us", kept.signatures_made_at_us),
        events_lost=min(kept.events_lost, MAX_BIGINT),
        platform=platform,
        raw=kept.SerializeToString(deterministic=True),
        scans=_read_scans(kept.scans) if kept.HasField("scans") else None,
        policy_behind=kept.policy_version_desired != kept.policy_version_applied,
    )


def _read_scans(untrusted: device_pb2.ScanStanding) -> ScanStanding:
    ends = [
        instant("status.scans.last_quick_scan_at_us", untrusted.last_quick_scan_at_us),
        instant("status.scans.last_full_scan_at_us", untrusted.last_full_scan_at_us),
    ]
    counted_from = instant("status.scans.counted_from_at_us", untrusted.counted_from_at_us)
    if counted_from is None:
        raise invalid("status.scans.counted_from_at_us", "is missing")
    scanned_at = max((end for end in ends if end is not None), default=counted_from)
    return ScanStanding(scanned_at, min(untrusted.limit_days, MAX_SCAN_LIMIT_DAYS))


def _harmless(untrusted: device_pb2.DeviceStatus) -> device_pb2.DeviceStatus:
    kept = device_pb2.DeviceStatus()
    kept.CopyFrom(untrusted)
    kept.ClearField("health_issues")
    for name in (
        "real_time_protection_subsystem",
        "real_time_protection_mode",
        "engine",
        "engine_version",
        "signatures_version",
        "policy_version_desired",
        "policy_version_applied",
    ):
        setattr(kept, name, harmless_text(getattr(untrusted, name), limit=255))
    kept.policy_refusal = harmless_text(untrusted.policy_refusal, limit=_MAX_MESSAGE_CHARACTERS)
    if kept.HasField("platform"):
        for name in ("os", "os_version", "architecture", "agent_version"):
            setattr(kept.platform, name, harmless_text(getattr(untrusted.platform, name), limit=255))
    kept.health_issues.extend(
        device_pb2.HealthIssue(
            code=harmless_text(issue.code, limit=_MAX_CODE_CHARACTERS),
            message=harmless_text(issue.message, limit=_MAX_MESSAGE_CHARACTERS),
        )
        for issue in untrusted.health_issues
    )
    kept.DiscardUnknownFields()
    return kept

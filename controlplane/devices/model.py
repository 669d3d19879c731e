"""Devices as values, and the verdict on their protection. Pure: values and `now` in, a verdict out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from controlplane.catalog.model import AccessLevel
from controlplane.devices.identity.lineage import NOTHING_SHOWN, Shown
from controlplane.runtime.counting import counted

#: No contact for this long and we no longer say what state a device is in. Wazuh, with 15 minutes, and Fleet draw
#: the line in the same place; agents of ours check in every minute by default.
OFFLINE_AFTER = timedelta(minutes=15)
#: Older signatures put a device at risk; Microsoft Defender for Endpoint calls them out of date at the same age.
SIGNATURES_OLD_AFTER = timedelta(days=7)
#: How long lost events stay visible after the counter last grew; the agent's reconciliation takes minutes, people
#: look once a day.
EVENTS_LOST_SHOWN_FOR = timedelta(hours=24)
#: A policy that a device was given is in force within this, or the device is out of policy: it is tried for a few
#: minutes, and a restart may be needed; a refusal counts at once.
POLICY_APPLIED_WITHIN = timedelta(hours=1)


class ProtectionState(Enum):
    """How much of the protection promise a device keeps right now; apart from its subscription's billing."""

    PROTECTED = "protected"
    AT_RISK = "at_risk"
    UNPROTECTED = "unprotected"
    OFFLINE = "offline"
    NEVER_SEEN = "never_seen"
    #: Nobody has seen it for so long that nobody waits for it; in no summary, until it calls again.
    EXPIRED = "expired"


#: The order in which an admin should look at devices.
WORST_FIRST = (
    ProtectionState.UNPROTECTED,
    ProtectionState.AT_RISK,
    ProtectionState.NEVER_SEEN,
    ProtectionState.OFFLINE,
    ProtectionState.PROTECTED,
)


#: Issues of the agent that have a reason of their own here; every other one makes the device `DEGRADED`.
_REASON_OF_ISSUE = {
    "real_time_off": "REAL_TIME_OFF",
    "protection_unproven": "REAL_TIME_UNPROVEN",
    "scan_overdue": "SCAN_OVERDUE",
    "policy_refused": "OUT_OF_POLICY",
}
#: What is not known of a device; puts nobody at risk, and is said wherever reasons are.
PARTLY_UNKNOWN = "PARTLY_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Platform:
    """What a device runs on, in its own words."""

    os: str
    os_version: str
    architecture: str
    agent_version: str


@dataclass(frozen=True, slots=True)
class FingerprintComponent:
    """A keyed hash of one hardware fact."""

    kind: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Device:
    """A device of an organisation."""

    org_id: str
    device_id: str
    name: str
    platform: Platform
    public_key_sha256: bytes
    activated_at: datetime
    deactivated_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HealthIssue:
    """One thing that keeps a device from being healthy, in the agent's words."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ScanStanding:
    """How old a device's last whole scan is, and may become.

    Attributes:
        scanned_at: End of the last quick or full scan, whichever is newer; before the first one, when the device
            began to count.
        limit_days: Older, and a scan is overdue; 0: nobody waits for one.
    """

    scanned_at: datetime
    limit_days: int

    def is_overdue(self, now: datetime) -> bool:
        """Whether a scan should have come to its end."""
        return self.limit_days > 0 and now - self.scanned_at > timedelta(days=self.limit_days)


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What a device says about itself at a check-in.

    Attributes:
        real_time_enabled: Files are watched as they change.
        proven_at: When the self-test last came back from every root, by the device's clock; None: never.
        health_issues: As the agent found them.
        signatures_made_at: None: not known.
        events_lost: Counts up over the life of the agent's process.
        platform: What the device runs on now; None: it did not say.
        raw: The whole report, as serialized `buckler.v1.DeviceStatus`.
        scans: None: the agent is too old to say.
        policy_behind: The policy it was given is another one than the policy in force.
    """

    real_time_enabled: bool
    proven_at: datetime | None
    health_issues: tuple[HealthIssue, ...]
    signatures_made_at: datetime | None
    events_lost: int
    platform: Platform | None
    raw: bytes
    scans: ScanStanding | None = None
    policy_behind: bool = False


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The last report of a device, with what the server adds to it.

    Attributes:
        cloned_at: Since when it is held, because two machines call as this device; None: it is not.
        shown: The nonce that it showed last.
        policy_behind_since: When it was first heard that another policy than the given one is in force; None: it is
            not so.
        active_threats: Files that were found and are not dealt with.
        expired_at: Since when it is hidden; None: it is not.
    """

    report: DeviceReport
    last_seen: datetime
    events_lost_at: datetime | None
    cloned_at: datetime | None = None
    shown: Shown = NOTHING_SHOWN
    policy_behind_since: datetime | None = None
    active_threats: int = 0
    expired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeviceLicence:
    """What a device's seat and subscription give it now.

    Attributes:
        access: The level in force.
        reason: Why, e.g. `PAID`, `SUBSCRIPTION_EXPIRED`, `SEAT_RELEASED`.
        seat_id: Empty: it holds no seat.
    """

    access: AccessLevel
    reason: str
    seat_id: str

    @property
    def has_seat(self) -> bool:
        """Whether the device holds a seat."""
        return bool(self.seat_id)


@dataclass(frozen=True, slots=True)
class ProtectionReason:
    """Why a device is not simply protected: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ProtectionVerdict:
    """A state and everything that led to it; `PROTECTED` comes without a reason, or with what is not known."""

    state: ProtectionState
    reasons: tuple[ProtectionReason, ...]


def protection(
    status: DeviceStatus | None,
    *,
    access: AccessLevel,
    has_seat: bool,
    last_seen: datetime | None,
    now: datetime,
) -> ProtectionVerdict:
    """Judge a device, at read time.

    What we know without asking the device (its seat, its access) comes first: a released seat is a fact however long
    the device has been silent. What only the device can tell (its health) counts while it is in contact; beyond
    `OFFLINE_AFTER` the honest answer is "offline since", with the last known troubles beside it.

    Args:
        status: As last reported; None: it never reported.
        access: What its subscription allows.
        has_seat: Whether it holds a seat.
        last_seen: Time of the last contact; None: there was none.
        now: The server's time.
    """
    licence_reasons = licence_reasons_of(access if has_seat else None)
    if status is None or last_seen is None:
        never = ProtectionReason("NEVER_SEEN", "The device has not checked in since it was activated")
        return ProtectionVerdict(ProtectionState.NEVER_SEEN, (never, *licence_reasons))
    if status.expired_at is not None:
        expired = ProtectionReason("EXPIRED", f"Nobody has seen it since {last_seen:%Y-%m-%d}: it is not waited for")
        return ProtectionVerdict(ProtectionState.EXPIRED, (expired, *licence_reasons))
    health_reasons = _health_reasons(status, now)
    silent = now - last_seen > OFFLINE_AFTER
    offline = (ProtectionReason("OFFLINE", f"No contact since {last_seen:%Y-%m-%d %H:%M} UTC"),) if silent else ()
    told = (*offline, *health_reasons)
    state = state_of_codes([reason.code for reason in told], access if has_seat else None)
    return ProtectionVerdict(state, (*licence_reasons, *told))


def state_of_codes(codes: Sequence[str], access: AccessLevel | None) -> ProtectionState:
    """The state that follows from what is known of the device itself and from what its seat gives it.

    Args:
        codes: Reasons of a verdict, those of the licence left out.
        access: None: it holds no seat.
    """
    if "NEVER_SEEN" in codes:
        return ProtectionState.NEVER_SEEN
    if "EXPIRED" in codes:
        return ProtectionState.EXPIRED
    if licence_reasons_of(access):
        return ProtectionState.UNPROTECTED
    if "OFFLINE" in codes:
        return ProtectionState.OFFLINE
    troubled = any(code != PARTLY_UNKNOWN for code in codes)
    return ProtectionState.AT_RISK if troubled else ProtectionState.PROTECTED


def licence_reasons_of(access: AccessLevel | None) -> tuple[ProtectionReason, ...]:
    """Why a device has only the floor of protection; None: it holds no seat."""
    if access is None:
        return (ProtectionReason("SEAT_LOST", "The device holds no seat: only the floor of protection is left"),)
    if access is AccessLevel.LIMITED:
        return (
            ProtectionReason("ACCESS_LIMITED", "The subscription is limited: only the floor of protection is left"),
        )
    if access is AccessLevel.ENDED:
        return (ProtectionReason("ACCESS_ENDED", "The subscription has ended: only the floor of protection is left"),)
    return ()


def _health_reasons(status: DeviceStatus, now: datetime) -> tuple[ProtectionReason, ...]:
    reasons = [*_watching(status, now), *_standing(status, now)]
    told = {reason.code for reason in reasons}
    for issue in status.report.health_issues:
        code = _REASON_OF_ISSUE.get(issue.code, "DEGRADED")
        if code not in told:
            reasons.append(ProtectionReason(code, f"{issue.message} ({issue.code})"))
    if status.report.scans is None:
        message = "The agent is too old to tell when it scanned last: update it"
        reasons.append(ProtectionReason(PARTLY_UNKNOWN, message))
    return tuple(reasons)


def _watching(status: DeviceStatus, now: datetime) -> Iterator[ProtectionReason]:
    """Whether files are watched as they change, by an agent that is the one it says."""
    report = status.report
    if status.cloned_at is not None:
        message = f"Two machines call as this device since {status.cloned_at:%Y-%m-%d %H:%M} UTC: activate one anew"
        yield ProtectionReason("DEVICE_CLONED", message)
    if not report.real_time_enabled:
        yield ProtectionReason("REAL_TIME_OFF", "Files are not watched as they change")
    elif report.proven_at is None:
        # How old a proof may be is the agent's to say, by its own clock: it then reports a health issue.
        yield ProtectionReason("REAL_TIME_UNPROVEN", "The self-test has not come back from every watched folder")
    if status.events_lost_at is not None and now - status.events_lost_at <= EVENTS_LOST_SHOWN_FOR:
        message = f"File events were lost, last noticed at {status.events_lost_at:%Y-%m-%d %H:%M} UTC"
        yield ProtectionReason("EVENTS_LOST", message)


def _standing(status: DeviceStatus, now: datetime) -> Iterator[ProtectionReason]:
    """What has been left undone for too long."""
    report = status.report
    if status.active_threats:
        what = "One file" if status.active_threats == 1 else f"{status.active_threats} files"
        yield ProtectionReason("ACTIVE_THREAT", f"{what} with a threat were found and left: bucklerctl detection list")
    if report.signatures_made_at is not None and now - report.signatures_made_at > SIGNATURES_OLD_AFTER:
        age = (now - report.signatures_made_at).days
        yield ProtectionReason("SIGNATURES_OLD", f"The signatures are {age} days old")
    if report.scans is not None and report.scans.is_overdue(now):
        since, limit = report.scans.scanned_at, report.scans.limit_days
        yield ProtectionReason(
            "SCAN_OVERDUE", f"No scan has ended since {since:%Y-%m-%d}; the limit is {counted(limit, 'day')}"
        )
    if status.policy_behind_since is not None and now - status.policy_behind_since > POLICY_APPLIED_WITHIN:
        since = status.policy_behind_since
        message = f"The policy it was given at {since:%Y-%m-%d %H:%M} UTC or later is not in force"
        yield ProtectionReason("OUT_OF_POLICY", message)

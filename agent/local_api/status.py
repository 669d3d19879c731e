"""What `buckler status` says: one pure function from what was observed to named values (docs/status.md).

The running agent and the command that finds no agent use the same function, so both say the same of the same facts.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent.domain.counting import counted
from agent.domain.entitlement import Access, AccessLevel, Claims
from agent.domain.health import HealthIssue
from agent.domain.ports import Enrolment
from agent.domain.scan_age import ScanAge

JsonValue = str | int | float | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class StatusField:
    """One line of the status.

    Attributes:
        name: Stable.
        value: JSON value; times are ISO 8601 in UTC; None: not known, or does not apply.
        managed: Set by a policy of the control plane.
    """

    name: str
    value: JsonValue
    managed: bool = False

    def text(self) -> str:
        """As a person reads it."""
        value = self.value
        if value is None:
            shown = ""
        elif isinstance(value, bool):
            shown = "true" if value else "false"
        elif isinstance(value, list):
            shown = ", ".join(value)
        else:
            shown = str(value)
        return f"{shown} [managed]" if self.managed else shown

    def json(self) -> str:
        """The value alone, as it travels."""
        return json.dumps(self.value)


@dataclass(frozen=True, slots=True)
class LicenceFacts:
    """What the control room knows."""

    access: Access
    claims: Claims | None
    enrolment: Enrolment | None
    last_error: str = ""
    next_step: str = ""
    activation_in_progress: str = ""
    stream: str = ""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the scanner room knows; empty and None where nothing is loaded."""

    engine: str = ""
    engine_version: str = ""
    signatures_version: str = ""
    signatures_made_at: datetime | None = None
    workers: int = 0
    current_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RealtimeFacts:
    """What the realtime room knows; the defaults are those of an agent that does not run."""

    enabled: bool = False
    available: bool = True
    subsystem: str = ""
    mode: str = ""
    proven_at: datetime | None = None
    roots: tuple[str, ...] = ()
    events_lost: int = 0
    queue_depth: int = 0
    incomplete: int = 0


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """What the vault holds, and what will be deleted from it; see `agent.domain.retention`.

    Attributes:
        files: How many.
        size_bytes: Of all of them, as they were.
        leaving: Files that will be deleted.
        leaving_bytes: Of those.
        leaving_from: When the first of them is; None: nothing will be deleted.
    """

    files: int = 0
    size_bytes: int = 0
    leaving: int = 0
    leaving_bytes: int = 0
    leaving_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutboxFacts:
    """Detections on their way.

    Attributes:
        pending: Waiting.
        set_aside: Refused for good.
        dropped: Since the last report, by class.
        error: Code and sentence of why those that wait do not get through; empty: nothing is known to hold them.
        next_step: What to do about it.
    """

    pending: int = 0
    set_aside: int = 0
    dropped: tuple[tuple[str, int], ...] = ()
    error: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """What the governor and the supervisor know; peaks and counts since the start.

    Attributes:
        stage: `normal`, `warned` or `throttled`; empty: nobody watches.
        reason: Why it is not normal, or what was restarted last.
        cpu_percent_peak: Of one core.
        memory_mb_peak: Agent and workers, MiB.
        worker_restarts: Scan workers replaced for what they used.
        part_restarts: Parts of the agent that failed and were started again, by name.
        costly_files: Sentences about files that were too much for a worker, and the rule that was.
    """

    stage: str = ""
    reason: str = ""
    cpu_percent_peak: float = 0.0
    memory_mb_peak: float = 0.0
    worker_restarts: int = 0
    part_restarts: tuple[tuple[str, int], ...] = ()
    costly_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """What is known of scheduled scans; the defaults are those of an agent that does not run.

    Attributes:
        state: `running`, `waiting` for the next time, or what holds scans; empty: not known.
        scan: Kind of the scan that has begun and not ended; empty: none.
        started_at: When that began first.
        files: Looked at since it last went on.
        infected: Of them and those before, with a finding.
        incomplete: Not wholly looked at.
        errors: That could not be looked at.
        stops: How often it was stopped and went on.
        schedules: By kind.
        due: By kind.
        limit_days: Without a whole scan for longer, one is overdue; 0: nobody waits for one.
    """

    state: str = ""
    scan: str = ""
    started_at: datetime | None = None
    files: int = 0
    infected: int = 0
    incomplete: int = 0
    errors: int = 0
    stops: int = 0
    schedules: Mapping[str, str] = field(default_factory=dict)
    due: Mapping[str, datetime] = field(default_factory=dict)
    limit_days: int = 0


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the organisation sets on this device; the defaults are those of a device that nobody manages.

    Attributes:
        desired: Name of the policy given last.
        applied: Name of the one in force.
        refusal: Why these are not the same.
        settings: What it sets, by key.
        exclusions: How many things it leaves alone.
    """

    desired: str = ""
    applied: str = ""
    refusal: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    exclusions: int = 0


#: Lines of the status that show what a setting of a policy decides.
_SHOWN_BY = {
    "realtime.roots": "watched_roots",
    "realtime.mode": "real_time_protection_mode",
    "schedule.quick": "next_quick_scan",
    "schedule.full": "next_full_scan",
}


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """Everything the status is made of.

    Attributes:
        issues: From `agent.domain.health.health_issues`; none means healthy.
        licence: Control room.
        realtime: Realtime room.
        engine: Scanner room.
        app_version: Of this agent.
        vault: What was taken.
        outbox: What is to be reported.
        policy_version: In force.
        competitors: Other products that watch files.
        scans: How old the last ones are; None: nobody has looked.
        cpu_percent: Of one core, since the last question.
        memory_mb: Resident, agent and workers, MiB.
        resources: What became of the limits.
        schedule: Scans that nobody asked for.
        policy: What the organisation sets.
    """

    issues: tuple[HealthIssue, ...]
    licence: LicenceFacts
    realtime: RealtimeFacts
    engine: EngineFacts
    app_version: str
    vault: VaultFacts
    outbox: OutboxFacts
    policy_version: str
    competitors: tuple[str, ...] = ()
    scans: ScanAge | None = None
    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    resources: ResourceFacts = field(default_factory=ResourceFacts)
    schedule: ScheduleFacts = field(default_factory=ScheduleFacts)
    policy: PolicyFacts = field(default_factory=PolicyFacts)


def status_fields(facts: StatusFacts, now: datetime) -> tuple[StatusField, ...]:
    """The status, in the order it is printed."""
    values: dict[str, JsonValue] = {
        "healthy": not facts.issues,
        "health_issues": [f"{issue.code}: {issue.message}" for issue in facts.issues],
        **_licence(facts.licence),
        "app_version": facts.app_version,
        **_engine(facts.engine, now),
        **_realtime(facts.realtime),
        "scan_workers": facts.engine.workers,
        "current_file": ", ".join(facts.engine.current_files) or None,
        "last_quick_scan": _instant(facts.scans.last_quick if facts.scans else None),
        "last_full_scan": _instant(facts.scans.last_full if facts.scans else None),
        "next_quick_scan": _instant(facts.schedule.due.get("quick")),
        "next_full_scan": _instant(facts.schedule.due.get("full")),
        "scheduled_scan": _scheduled_scan(facts.schedule),
        **_vault(facts.vault),
        **_outbox(facts.outbox),
        **_contact(facts.licence),
        "policy_version_desired": facts.policy.desired or facts.policy_version,
        "policy_version_applied": facts.policy.applied or facts.policy_version,
        "policy_settings": [f"{name}={value}" for name, value in sorted(facts.policy.settings.items())],
        "policy_exclusions": facts.policy.exclusions,
        "conflicting_applications": list(facts.competitors),
        "cpu_percent": facts.cpu_percent,
        "memory_mb": facts.memory_mb,
        **_resources(facts.resources, facts.memory_mb),
    }
    managed = {_SHOWN_BY[name] for name in facts.policy.settings if name in _SHOWN_BY}
    return tuple(StatusField(name, value, managed=name in managed) for name, value in values.items())


def _licence(licence: LicenceFacts) -> dict[str, JsonValue]:
    access, claims, enrolment = licence.access, licence.claims, licence.enrolment
    return {
        "licensed": access.level in {AccessLevel.FULL, AccessLevel.GRACE},
        "access": access.level.value,
        "access_reason": access.reason,
        "access_until": _instant(access.until),
        "paid_until": _instant(claims.paid_until) if claims else None,
        "plan": claims.plan_name if claims else None,
        "seat_id": (claims.seat_id or None) if claims else None,
        "device_id": enrolment.device_id if enrolment else None,
        "org_id": enrolment.org_id if enrolment else None,
        "activation_in_progress": licence.activation_in_progress or None,
    }


def _engine(engine: EngineFacts, now: datetime) -> dict[str, JsonValue]:
    made = engine.signatures_made_at
    return {
        "engine": engine.engine or None,
        "engine_version": engine.engine_version or None,
        "signatures_version": engine.signatures_version or None,
        "signatures_age_hours": round((now - made).total_seconds() / 3600, 1) if made else None,
        # Whether newer ones exist can only be said by an update channel, and there is none yet: not "up to date".
        "signatures_status": "unknown" if engine.signatures_version else "unavailable",
    }


def _realtime(realtime: RealtimeFacts) -> dict[str, JsonValue]:
    return {
        "real_time_protection_enabled": realtime.enabled,
        "real_time_protection_available": realtime.available,
        "real_time_protection_subsystem": realtime.subsystem or None,
        "real_time_protection_mode": realtime.mode or None,
        "real_time_protection_proven_at": _instant(realtime.proven_at),
        "watched_roots": list(realtime.roots),
        "events_lost": realtime.events_lost,
        "queue_depth": realtime.queue_depth,
        "files_incomplete": realtime.incomplete,
    }


def _vault(vault: VaultFacts) -> dict[str, JsonValue]:
    leaving = None
    if vault.leaving_from is not None:
        size = f"{_megabytes(vault.leaving_bytes)} MB"
        leaving = (
            f"{counted(vault.leaving, 'file')} ({size}) will be deleted for good from {_instant(vault.leaving_from)} on"
        )
    return {
        "quarantined_count": vault.files,
        "quarantined_mb": _megabytes(vault.size_bytes),
        "quarantine_deletions": leaving,
    }


def _outbox(outbox: OutboxFacts) -> dict[str, JsonValue]:
    return {
        "outbox_pending": outbox.pending,
        "outbox_set_aside": outbox.set_aside,
        "outbox_dropped": [f"{name}: {rows}" for name, rows in outbox.dropped],
        "outbox_error": outbox.error or None,
        "outbox_next_step": outbox.next_step or None,
    }


def _resources(resources: ResourceFacts, memory_mb: float) -> dict[str, JsonValue]:
    return {
        "cpu_percent_peak": resources.cpu_percent_peak,
        # Between the governor's measurements it may be higher.
        "memory_mb_peak": max(resources.memory_mb_peak, memory_mb),
        "resource_governor": resources.stage or None,
        "resource_governor_reason": resources.reason or None,
        "costly_files": list(resources.costly_files),
        "worker_restarts": resources.worker_restarts,
        "part_restarts": [f"{name}: {times}" for name, times in resources.part_restarts],
    }


def _megabytes(size_bytes: int) -> float:
    return round(size_bytes / (1 << 20), 1)


def _scheduled_scan(schedule: ScheduleFacts) -> str | None:
    return f"{schedule.scan}: {schedule.state}, {counted(schedule.files, 'file')}" if schedule.scan else None


def schedule_fields(schedule: ScheduleFacts, managed: frozenset[str] = frozenset()) -> tuple[StatusField, ...]:
    """What `buckler schedule` says, in the order it is printed.

    Args:
        schedule: How it stands.
        managed: Keys that a policy sets.
    """
    values: dict[str, JsonValue] = {
        "state": schedule.state,
        "scan": schedule.scan or None,
        "started_at": _instant(schedule.started_at),
        "files": schedule.files if schedule.scan else None,
        "infected": schedule.infected if schedule.scan else None,
        "incomplete": schedule.incomplete if schedule.scan else None,
        "errors": schedule.errors if schedule.scan else None,
        "stops": schedule.stops if schedule.scan else None,
    }
    for kind in ("quick", "full"):
        values[f"{kind}_schedule"] = schedule.schedules.get(kind, "off")
        values[f"next_{kind}_scan"] = _instant(schedule.due.get(kind))
    marked = {f"{key.removeprefix('schedule.')}_schedule" for key in managed}
    return tuple(StatusField(name, value, managed=name in marked) for name, value in values.items())


def _contact(licence: LicenceFacts) -> dict[str, JsonValue]:
    enrolment = licence.enrolment
    return {
        "control_plane": (enrolment.server or None) if enrolment else None,
        "last_check_in": _instant(enrolment.last_check_in) if enrolment else None,
        "control_plane_stream": licence.stream or None,
        "last_contact_error": licence.last_error or None,
        "last_contact_next_step": licence.next_step or None,
    }


def _instant(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="seconds") if instant else None


StatusQuestion = Callable[[], Awaitable[tuple[StatusField, ...]]]

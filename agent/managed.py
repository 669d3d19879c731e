"""What the organisation sets, laid over the settings of this device; built before everything that works by them.

Decides nothing of its own: what a policy may say is in `wire.policy_document`, whether it is taken in
`agent.control.policy.keeper`. A folder that a policy names and that this device has not is left out and told of.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from agent.config import AgentConfig
from agent.control.enrolment.entitlements import EntitlementKeeper
from agent.control.policy.keeper import PolicyKeeper
from agent.control.policy.managed_policy import ManagedPolicy, nothing_left
from agent.domain.consent import Consent
from agent.domain.health import HealthIssue
from agent.domain.ports import Store
from agent.domain.schedule import ScanKind, Schedule
from agent.local_api.status import PolicyFacts
from agent.platform.program import app_version
from agent.realtime.roots import root_problem
from agent.scanner.scheduled.settings import ScheduleSettings
from wire.policy_document import SettingValue

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Managed:
    """The policy of this device, and the settings it is laid over.

    Attributes:
        keeper: What was given, and what is in force.
        local: As configured here.
    """

    keeper: PolicyKeeper
    local: AgentConfig

    def config(self) -> AgentConfig:
        """The settings in force, those apart that `PolicyBook` decides."""
        policy, local = self.keeper.in_force, self.local
        resources, retention = local.resources, local.retention
        consent = policy.get("support.diagnostics")
        keep_days, warn_days = policy.number("quarantine.keep_days"), policy.number("quarantine.warn_days")
        return replace(
            local,
            realtime=replace(local.realtime, roots=usable_roots(policy, local.realtime.roots)[0]),
            resources=replace(
                resources,
                cpu_percent=_or(policy.number("resources.cpu_percent"), resources.cpu_percent),
                memory_mb=_or(policy.number("resources.memory_mb"), resources.memory_mb),
                memory_at_rest_mb=_or(policy.number("resources.memory_at_rest_mb"), resources.memory_at_rest_mb),
            ),
            retention=replace(
                retention,
                # 0 stands for no limit.
                keep_for=retention.keep_for if keep_days is None else timedelta(days=keep_days) or None,
                notice=retention.notice if warn_days is None else timedelta(days=warn_days),
            ),
            schedule=self.schedule(),
            diagnostics=local.diagnostics if consent is None else Consent(consent),
        )

    def schedule(self) -> ScheduleSettings:
        """When scans are due, and how gently they are made."""
        policy, local = self.keeper.in_force, self.local.schedule
        jitter = policy.number("schedule.jitter_minutes")
        overdue_days = policy.number("schedule.overdue_days")
        return replace(
            local,
            schedules={kind: at for kind in ScanKind if (at := _scheduled(policy, local, kind)) is not None},
            cpu_percent=_or(policy.number("schedule.cpu_percent"), local.cpu_percent),
            pause_on_battery=_or(policy.switch("schedule.pause_on_battery"), local.pause_on_battery),
            network_filesystems=_or(policy.switch("schedule.network_filesystems"), local.network_filesystems),
            jitter=local.jitter if jitter is None else timedelta(minutes=jitter),
            overdue_days=local.overdue_days if overdue_days is None else overdue_days,
        )

    def facts(self) -> PolicyFacts:
        """For the status and the control plane."""
        keeper = self.keeper
        settings = {name: _shown(value) for name, value in keeper.in_force.document.settings.items()}
        return PolicyFacts(
            desired=keeper.desired_version,
            applied=keeper.applied_version,
            refusal=keeper.refusal,
            settings=settings,
            exclusions=len(keeper.in_force.exclusions),
        )

    def names(self) -> frozenset[str]:
        """Keys that the policy sets."""
        return frozenset(self.keeper.in_force.document.settings)

    def issues(self) -> tuple[HealthIssue, ...]:
        """What the organisation believes in and is not there."""
        missing = usable_roots(self.keeper.in_force, self.local.realtime.roots)[1]
        if not missing:
            return self.keeper.issues()
        told = f"folders that the policy names are not watched: {', '.join(missing)}"
        return (*self.keeper.issues(), HealthIssue("policy_roots_missing", told))


def open_managed(store: Store, entitlements: EntitlementKeeper, config: AgentConfig) -> Managed:
    """What is known of a policy here, laid over what is configured."""

    def owner() -> str:
        enrolment = entitlements.enrolment
        return f"{enrolment.org_id}/{enrolment.device_id}" if enrolment else ""

    def objection(policy: ManagedPolicy) -> str:
        return floor_objection(policy, config)

    return Managed(PolicyKeeper(store, owner, objection, app_version()), config)


def floor_objection(policy: ManagedPolicy, config: AgentConfig) -> str:
    """Why a policy falls below the floor of protection on this device; empty: it does not."""
    roots, missing = usable_roots(policy, config.realtime.roots)
    if missing and policy.get("realtime.roots") == missing:
        return f"none of the folders it names can be watched here: {', '.join(missing)}"
    if nothing_left(roots, policy):
        return "its exclusions would leave none of the watched folders protected"
    return ""


def usable_roots(policy: ManagedPolicy, local: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folders to watch, and those that the policy names but this device has not; never none to watch."""
    wanted = policy.get("realtime.roots")
    if not isinstance(wanted, tuple):
        return local, ()
    missing = tuple(root for root in wanted if root_problem(root))
    return tuple(root for root in wanted if root not in missing) or local, missing


@dataclass(frozen=True, slots=True)
class PolicyFollowers:
    """Whom to tell while the agent runs.

    Attributes:
        manage: Takes the policy in force.
        mode: Goes over to its mode.
        schedule: Goes by its schedule.
    """

    manage: Callable[[ManagedPolicy], None]
    mode: Callable[[], None]
    schedule: Callable[[ScheduleSettings], None]


def follow(managed: Managed, followers: PolicyFollowers, restart: Callable[[], None]) -> None:
    """Have what can change while the agent runs change with the policy, and the rest with a restart."""

    def changed() -> None:
        followers.manage(managed.keeper.in_force)
        followers.mode()
        followers.schedule(managed.schedule())

    managed.keeper.attend(changed=changed, restart=restart)


# ---------------------------------------------------------------- values


def _or(managed: _Value | None, local: _Value) -> _Value:
    return local if managed is None else managed


def _scheduled(policy: ManagedPolicy, local: ScheduleSettings, kind: ScanKind) -> Schedule | None:
    managed = policy.get(f"schedule.{kind.value}")
    return local.schedules.get(kind) if managed is None else Schedule.parse(str(managed))


def _shown(value: SettingValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)

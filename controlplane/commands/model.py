"""Commands as values, and what may become of them. Pure: values and `now` in, the command's next state out.

    pending ─► delivered ─► in_progress ─► succeeded | failed | cancelled
       │           └─────────────┴───────► timed_out
       └─► cancelled | expired

When its device is revoked, a command that is open is cancelled at once.

A final state never changes: a report that comes too late is accepted, so that the device stops telling it, and has no
effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from controlplane.runtime.principal import Role


class CommandState(Enum):
    """Where a command stands; stable names, in rows and on the wire."""

    PENDING = "pending"
    DELIVERED = "delivered"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: The device has it and has not finished.
UNDER_WAY = frozenset({CommandState.DELIVERED, CommandState.IN_PROGRESS})
OPEN = frozenset({CommandState.PENDING, *UNDER_WAY})
#: What a device may report.
REPORTABLE = frozenset({CommandState.IN_PROGRESS, CommandState.SUCCEEDED, CommandState.FAILED, CommandState.CANCELLED})
#: What counts against a campaign.
UNSUCCESSFUL = frozenset({CommandState.FAILED, CommandState.TIMED_OUT})


@dataclass(frozen=True, slots=True)
class CommandKind:
    """What one kind of command is; each has a file of its own in `kinds`.

    Attributes:
        name: On the wire.
        roles: Who may ask for it.
        waits: How long a device that is away may take to fetch it.
        runs: How long a device that has it may take.
        arguments: Checked by `read`: name, and whether it must be there.
    """

    name: str
    roles: frozenset[Role]
    waits: timedelta
    runs: timedelta
    arguments: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command for one device.

    Attributes:
        requester: As the audit names them.
        released_at: When the device may have it; None: its campaign has not come to it.
        expires_at: Not fetched by then, it is not fetched any more.
        ends_at: When its state ends by itself; None: it is final.
        code: Why it failed; empty otherwise.
        campaign_id: Empty: it was asked for by itself.
    """

    org_id: str
    command_id: str
    device_id: str
    kind: str
    arguments: Mapping[str, str]
    requester: str
    reason: str
    requested_at: datetime
    expires_at: datetime
    state: CommandState = CommandState.PENDING
    released_at: datetime | None = None
    delivered_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    ends_at: datetime | None = None
    code: str = ""
    message: str = ""
    result: Mapping[str, str] = field(default_factory=dict)
    campaign_id: str = ""


@dataclass(frozen=True, slots=True)
class CommandReport:
    """What a device says about a command; its fields are checked in shape."""

    command_id: str
    state: CommandState
    code: str
    message: str
    result: Mapping[str, str]


def delivered(command: Command, runs: timedelta, now: datetime) -> Command:
    """The device was given a pending command; giving it again changes nothing."""
    if command.state is not CommandState.PENDING:
        return command
    return replace(command, state=CommandState.DELIVERED, delivered_at=now, ends_at=now + runs)


def reported(command: Command, report: CommandReport, now: datetime) -> Command:
    """The device told what became of a command."""
    if command.state not in OPEN:
        return command
    # A device that begins a command was given it, whatever became of our own note about that.
    begun = replace(command, delivered_at=command.delivered_at or now, started_at=command.started_at or now)
    if report.state is CommandState.IN_PROGRESS:
        return replace(begun, state=CommandState.IN_PROGRESS)
    return _final(begun, report.state, now, report.code, report.message, report.result)


def cancelled(command: Command, now: datetime) -> Command:
    """Somebody does not want it any more: at once if the device never heard of it, else the device decides."""
    if command.state is CommandState.PENDING:
        return _final(command, CommandState.CANCELLED, now, "CANCELLED", "cancelled before the device fetched it")
    if command.state in UNDER_WAY and command.cancel_requested_at is None:
        return replace(command, cancel_requested_at=now)
    return command


def abandoned(command: Command, now: datetime) -> Command:
    """Its device was revoked: it will neither come for a command nor tell what became of one."""
    if command.state not in OPEN:
        return command
    why = "the identity of its device was revoked"
    return _final(command, CommandState.CANCELLED, now, "DEVICE_REVOKED", why)


def overdue(command: Command, now: datetime) -> Command:
    """What time makes of a command."""
    if command.ends_at is None or now < command.ends_at:
        return command
    if command.state is CommandState.PENDING:
        return _final(command, CommandState.EXPIRED, now, "EXPIRED", "the device did not fetch it in time")
    return _final(command, CommandState.TIMED_OUT, now, "TIMED_OUT", "the device had it and did not answer in time")


def _final(
    command: Command,
    state: CommandState,
    now: datetime,
    code: str,
    message: str,
    result: Mapping[str, str] | None = None,
) -> Command:
    return replace(command, state=state, finished_at=now, ends_at=None, code=code, message=message, result=result or {})


# ---------------------------------------------------------------- campaigns


class CampaignState(Enum):
    """Where a campaign stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


#: Nothing becomes of these any more.
CAMPAIGN_OVER = frozenset({CampaignState.STOPPED, CampaignState.DONE})
#: How often a campaign gives out commands.
CAMPAIGN_TURN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Campaign:
    """One command for many devices.

    Attributes:
        per_turn: Devices that get theirs each `CAMPAIGN_TURN`.
        stop_after: Failures after which no more are given out; 0: never.
    """

    org_id: str
    campaign_id: str
    kind: str
    arguments: Mapping[str, str]
    requester: str
    reason: str
    requested_at: datetime
    per_turn: int
    stop_after: int
    state: CampaignState = CampaignState.RUNNING


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is.

    Attributes:
        waiting: Commands not given out yet.
        counts: The others, by state.
    """

    waiting: int
    counts: Mapping[CommandState, int]

    @property
    def failures(self) -> int:
        """What counts against the campaign."""
        return sum(self.counts.get(state, 0) for state in UNSUCCESSFUL)


def after_turn(campaign: Campaign, progress: Progress) -> tuple[CampaignState, int]:
    """What a campaign does at its turn.

    Returns:
        Its state from now on, and how many commands it gives out.
    """
    if campaign.state is not CampaignState.RUNNING:
        return campaign.state, 0
    if campaign.stop_after and progress.failures >= campaign.stop_after:
        return CampaignState.STOPPED, 0
    given = min(campaign.per_turn, progress.waiting)
    return (CampaignState.DONE if given == progress.waiting else CampaignState.RUNNING), given

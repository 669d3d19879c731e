"""What the control plane asks this device to do, and what becomes of it. Values, and one decision."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from agent.domain.entitlement import Access, Feature


class CommandStage(Enum):
    """Where a command stands on this device; stable names, in the database."""

    RECEIVED = "received"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Nothing becomes of these any more.
ENDED = frozenset({CommandStage.SUCCEEDED, CommandStage.FAILED, CommandStage.CANCELLED})


@dataclass(frozen=True, slots=True)
class RemoteCommand:
    """A command as it came.

    Attributes:
        expires_at: Not begun by then, it is not begun any more.
        requester: Who asked, as the control plane names them.
    """

    id: str
    kind: str
    arguments: Mapping[str, str]
    expires_at: datetime
    requester: str
    reason: str


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended.

    Attributes:
        code: Why it failed; empty otherwise.
        message: For people.
        result: What there is to tell, by name.
        afterwards: What remains to be done once the control plane knows the outcome.
    """

    stage: CommandStage = CommandStage.SUCCEEDED
    code: str = ""
    message: str = ""
    result: Mapping[str, str] = field(default_factory=dict)
    afterwards: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command and what became of it, as the database has it."""

    command: RemoteCommand
    stage: CommandStage
    code: str = ""
    message: str = ""
    result: Mapping[str, str] = field(default_factory=dict)


def refusal_to_begin(command: RemoteCommand, access: Access, now: datetime) -> CommandOutcome | None:
    """Why a command must not be begun; None: it may.

    The control plane decides the same; a device does not take its word for it.
    """
    if now >= command.expires_at:
        return failed("EXPIRED", "it reached the device too late to be begun")
    if not access.allows(Feature.REMOTE_COMMANDS):
        return failed("FEATURE_NOT_ENTITLED", f"the device's access does not include it now ({access.reason})")
    return None


def failed(code: str, message: str) -> CommandOutcome:
    """An outcome."""
    return CommandOutcome(CommandStage.FAILED, code, message)

"""The background service as its supervisor sees it: what is to be kept running, and how it is."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class ServiceState(Enum):
    """What the supervisor says of the process."""

    #: There is no definition, so there is nothing to be in a state.
    ABSENT = "absent"
    STOPPED = "stopped"
    #: Begun; with systemd it stays here until protection is proven.
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    #: It ended by itself and is started again in a moment.
    RESTARTING = "restarting"
    #: It ended by itself and stays down.
    FAILED = "failed"


class DefinitionState(Enum):
    """How the definition on this machine compares with the one that would be installed."""

    ABSENT = "absent"
    CURRENT = "current"
    #: Another version, another program or other arguments.
    DIFFERENT = "different"
    #: It came with a package of the operating system, which alone may change it.
    PACKAGED = "packaged"


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What `buckler service status` tells.

    Attributes:
        supervisor: `systemd`, `launchd` or `windows`.
        definition: File or name of the definition in force; empty: none.
        enabled: It starts with the machine.
        state: See `ServiceState`.
        pid: Its process; None: none.
        since: When it entered that state, as far as the supervisor remembers.
        restarts: How often the supervisor started it again since it was last started by a person; None: not told.
        last_exit: Why it last ended without being told to; empty: it never did, or nobody may know.
        says: What the service tells of itself; empty where a supervisor keeps no such line.
    """

    supervisor: str
    definition: str = ""
    enabled: bool = False
    state: ServiceState = ServiceState.ABSENT
    pid: int | None = None
    since: datetime | None = None
    restarts: int | None = None
    last_exit: str = ""
    says: str = ""

    @property
    def installed(self) -> bool:
        """Whether the supervisor knows it."""
        return self.state is not ServiceState.ABSENT

    @property
    def running(self) -> bool:
        """Whether there is a process that protects or is about to."""
        return self.state in {ServiceState.RUNNING, ServiceState.STARTING, ServiceState.STOPPING}


#: What the agent's own exit statuses mean (docs/exit-status.md), for people who read why it ended.
_EXIT_MEANINGS = {
    1: "refused",
    2: "configuration, rules or a watched folder",
    4: "the other side could not be reached",
    5: "this machine does not let it: permission, missing feature, another agent",
    70: "a defect of Buckler",
}


def exit_reason(status: int) -> str:
    """One phrase for the exit status of an agent; empty for 0, which is how it ends when it is told to."""
    if status == 0:
        return ""
    meaning = _EXIT_MEANINGS.get(status)
    return f"exit status {status} ({meaning})" if meaning else f"exit status {status}"

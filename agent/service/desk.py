"""What people do with the background service: put it in place, start it, stop it, take it away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import ServiceSupervisor
from agent.domain.services import DefinitionState, ServiceState, ServiceStatus
from agent.service.remains import Remains, refuse_to_destroy

#: How long a service may take to prove its protection before its owner is told that it has not, in seconds.
PATIENCE_S = 60.0
_PAUSE_S = 0.1


class Installed(Enum):
    """What `install` did."""

    NEW = "new"
    #: Another version or other arguments were there before.
    UPDATED = "updated"
    #: The definition of a package, or one that was there already, was enabled and started.
    ENABLED = "enabled"


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the desk works with.

    Attributes:
        supervisor: Of this operating system.
        command: What the service runs.
        own_settings: Whether that command says more than the usual one.
        program_risk: Why the program must not be run as root; empty: it may.
        proof: The line with which the running agent says that it protects; empty: it does not yet.
        pause: Waits for some seconds.
    """

    supervisor: ServiceSupervisor
    command: Sequence[str]
    own_settings: bool
    program_risk: Callable[[], str]
    proof: Callable[[], str]
    pause: Callable[[float], None]


class ServiceDesk:
    """See the module."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._supervisor = parts.supervisor

    def install(self) -> Installed:
        """Have the service start with the machine.

        Raises:
            BucklerError: `SERVICE_ALREADY_INSTALLED`, `SERVICE_OF_PACKAGE`, `SERVICE_PROGRAM_UNSAFE`, and what the
                supervisor refuses.
        """
        found, status = self._supervisor.definition(self._parts.command), self._supervisor.status()
        if found is DefinitionState.PACKAGED and self._parts.own_settings:
            raise _of_package(status)
        if found in {DefinitionState.PACKAGED, DefinitionState.CURRENT} and status.enabled and status.running:
            raise _already_installed(status)
        if found is not DefinitionState.PACKAGED:
            self._refuse_unsafe_program()
        self._supervisor.install(self._parts.command)
        if found is DefinitionState.DIFFERENT:
            # It runs the program and the arguments of before.
            self._supervisor.stop()
            return Installed.UPDATED
        return Installed.NEW if found is DefinitionState.ABSENT else Installed.ENABLED

    def start(self) -> str:
        """Start it and wait for the proof of protection; returns the line that tells it.

        Raises:
            BucklerError: `SERVICE_NOT_INSTALLED`, `SERVICE_FAILED`, `SERVICE_UNPROVEN`, or the supervisor refuses.
        """
        before = self._installed()
        self._supervisor.start()
        waited_s = 0.0
        while not (proof := self._parts.proof()):
            status = self._supervisor.status()
            if _has_failed(before, status):
                raise _failed(status)
            if waited_s >= PATIENCE_S:
                raise _unproven(status)
            self._parts.pause(_PAUSE_S)
            waited_s += _PAUSE_S
        return proof

    def stop(self) -> bool:
        """Stop it until it is started, or the machine is; returns whether it ran.

        Raises:
            BucklerError: `SERVICE_NOT_INSTALLED`, and what the supervisor refuses.
        """
        ran = self._installed().state is not ServiceState.STOPPED
        self._supervisor.stop()
        return ran

    def uninstall(self, remains: Remains, *, purge: bool, discard_quarantine: bool) -> bool:
        """Take the service away, and, if wanted, what it left on the disk.

        Args:
            remains: What it left.
            purge: Destroy that too.
            discard_quarantine: Even what only the vault still has.

        Returns:
            Whether there was a service.

        Raises:
            BucklerError: `SERVICE_NOT_INSTALLED`, `QUARANTINE_NOT_EMPTY`, and what the supervisor refuses.
        """
        if purge:
            refuse_to_destroy(remains, discard_quarantine=discard_quarantine)
        status = self._supervisor.status()
        # A package's definition stays when its service is switched off, so it may be off already.
        is_off = not status.enabled and not status.running
        present = status.installed and not (is_off and status.state is ServiceState.STOPPED and purge)
        if not status.installed and not purge:
            raise not_installed()
        if present:
            self._supervisor.uninstall()
        if purge:
            # Something may have been taken between the first look and the end of the service.
            refuse_to_destroy(remains, discard_quarantine=discard_quarantine)
            remains.destroy()
        return present

    def status(self) -> ServiceStatus:
        """How it is."""
        return self._supervisor.status()

    def _installed(self) -> ServiceStatus:
        status = self._supervisor.status()
        if not status.installed:
            raise not_installed()
        return status

    def _refuse_unsafe_program(self) -> None:
        risk = self._parts.program_risk()
        if risk:
            raise BucklerError(
                "SERVICE_PROGRAM_UNSAFE",
                f"{risk}, so whoever can change it would become root through the service",
                next_step="install Buckler below a folder of root, such as /opt/buckler, and run the command there",
                exit_status=ExitStatus.ENVIRONMENT,
            )


def _has_failed(before: ServiceStatus, now: ServiceStatus) -> bool:
    if now.state in {ServiceState.FAILED, ServiceState.RESTARTING}:
        return True
    return now.restarts is not None and now.restarts > (before.restarts or 0) and before.running


def not_installed() -> BucklerError:
    """There is nothing to start, stop or take away."""
    return BucklerError(
        "SERVICE_NOT_INSTALLED",
        "buckler is not installed as a service on this machine",
        next_step="install it with `buckler service install`",
        exit_status=ExitStatus.NEGATIVE,
    )


def _already_installed(status: ServiceStatus) -> BucklerError:
    return BucklerError(
        "SERVICE_ALREADY_INSTALLED",
        f"the service is installed already ({status.definition}), starts with the machine and runs",
        next_step="see `buckler service status`; to have it anew, run `buckler service uninstall` first",
        exit_status=ExitStatus.NEGATIVE,
    )


def _of_package(status: ServiceStatus) -> BucklerError:
    return BucklerError(
        "SERVICE_OF_PACKAGE",
        f"the service comes with a package ({status.definition}) and takes no options of its own",
        next_step="write settings to /etc/buckler/agent.toml, or change the command with `systemctl edit buckler`",
        exit_status=ExitStatus.BAD_INPUT,
    )


def _failed(status: ServiceStatus) -> BucklerError:
    why = status.last_exit or "no reason is known"
    return BucklerError(
        "SERVICE_FAILED",
        f"the service ended before protection was proven: {why}",
        next_step=f"read what it said with `{_log_command(status)}`; `buckler run` in a terminal shows the same",
        exit_status=ExitStatus.NEGATIVE,
        facts={"last_exit": status.last_exit},
    )


def _unproven(status: ServiceStatus) -> BucklerError:
    return BucklerError(
        "SERVICE_UNPROVEN",
        f"the service runs, but has not proven its protection within {PATIENCE_S:.0f} s"
        + (f" ({status.says})" if status.says else ""),
        next_step="see `buckler status --field health_issues` for what stands in its way; it goes on trying",
        exit_status=ExitStatus.NEGATIVE,
    )


def _log_command(status: ServiceStatus) -> str:
    match status.supervisor:
        case "systemd":
            return "journalctl --unit=buckler"
        case "launchd":
            return "tail /var/log/buckler.log"
        case _:
            return "eventvwr"

"""Does the supervisor keep the agent running?"""

from dataclasses import replace

from agent.domain.services import ServiceState, ServiceStatus
from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, STILL_PROTECTED, CheckResult, Fixer, failing, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: More restarts than this since a person last started it are no accident.
MANY_RESTARTS = 3


def look(around: Surroundings) -> CheckResult:
    """State, restarts, and whether it starts with the machine."""
    status = around.service()
    if not status.installed:
        return unknown(
            "Buckler is not installed as a service", "`buckler service install` has it start with the machine"
        )
    if status.state in {ServiceState.FAILED, ServiceState.RESTARTING}:
        return replace(_failed(status), fixable=True)
    if not status.running:
        return replace(_stopped(), fixable=True)
    if (status.restarts or 0) > MANY_RESTARTS:
        return warning(
            "SERVICE_RESTARTS",
            f"the service was started again {status.restarts} times: {status.last_exit or 'no reason is known'}",
            effect="files are watched, with gaps whenever it starts again",
            fixer=Fixer.ADMINISTRATOR,
            next_step=f"read why with `{_log(status)}` and send that to support",
        )
    if not status.enabled:
        return warning(
            "SERVICE_DISABLED",
            "the service runs, but does not start with the machine",
            effect=f"{STILL_PROTECTED}, until the next start of the machine",
            fixer=Fixer.ADMINISTRATOR,
            next_step="buckler service install",
        )
    return passing(f"{status.supervisor} keeps it running (process {status.pid})")


def _failed(status: ServiceStatus) -> CheckResult:
    return failing(
        "SERVICE_FAILED",
        f"the service ended by itself: {status.last_exit or status.says or 'no reason is known'}",
        effect=NOT_PROTECTED,
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"read what it said with `{_log(status)}`, then `buckler service start`",
    )


def _stopped() -> CheckResult:
    return failing(
        "SERVICE_STOPPED",
        "the service is installed and does not run",
        effect=NOT_PROTECTED,
        fixer=Fixer.ADMINISTRATOR,
        next_step="buckler service start",
    )


def _log(status: ServiceStatus) -> str:
    return "journalctl --unit=buckler" if status.supervisor == "systemd" else "tail /var/log/buckler.log"


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Start it."""
    return around.repairs.start_service()


CHECK = Check("service", "the service is kept running", look, mend)

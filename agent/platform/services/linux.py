"""The background service under systemd; port `agent.domain.ports.ServiceSupervisor`.

A unit of a package lies in `/usr/lib/systemd/system` and is only enabled and disabled; otherwise the unit that comes
with this program is written to `/etc/systemd/system`, with this program in its `ExecStart` line.
"""

import json
import re
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.services import DefinitionState, ServiceState, ServiceStatus, exit_reason
from agent.platform.files.whole_files import replace_whole
from agent.platform.services.shipped_definitions import shipped
from agent.platform.system_tools import Ran, RunTool, is_root, need_root, refused, run_tool

UNIT = "buckler.service"
#: SD_MESSAGE_UNIT_PROCESS_EXIT of systemd's catalogue.
_PROCESS_EXITED = "98e322203f7a4ed290d09fe03c09fe15"
_PROPERTIES = (
    "LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "NRestarts", "StateChangeTimestamp",
    "StatusText", "FragmentPath", "Result", "ExecMainCode", "ExecMainStatus",
)  # fmt: skip
_STATES = {
    "active": ServiceState.RUNNING,
    "reloading": ServiceState.RUNNING,
    "activating": ServiceState.STARTING,
    "deactivating": ServiceState.STOPPING,
    "failed": ServiceState.FAILED,
}
#: Results of a unit that say more than how its process ended; systemd.exec(5), `$SERVICE_RESULT`.
_RESULTS = {
    "watchdog": "ended by systemd: it gave no sign of life",
    "timeout": "ended by systemd: it did not start or stop in time",
    "oom-kill": "ended by the kernel: memory ran out",
    "resources": "systemd could not start it for want of resources",
    "start-limit-hit": "ended too often in a row",
}
#: Values of ExecMainCode; waitid(2), `si_code`.
_EXITED, _KILLED, _DUMPED = "1", "2", "3"
#: What needs no quotes in a unit; everything else gets them.
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+")


class Systemd:
    """See the module.

    Args:
        run: Runs `systemctl` and `journalctl`.
        top: Where the system's file tree begins.
        root: Whether this process may change services.
    """

    def __init__(self, run: RunTool = run_tool, top: Path = Path("/"), root: Callable[[], bool] = is_root) -> None:
        self._run = run
        self._is_root = root
        self._written = top / "etc/systemd/system" / UNIT
        self._packaged = top / "usr/lib/systemd/system" / UNIT
        self._booted = top / "run/systemd/system"

    def definition(self, command: Sequence[str]) -> DefinitionState:
        """Compare what is there with what `install` would write."""
        if self._written.is_file():
            same = self._written.read_text(encoding="utf-8") == unit_text(command)
            return DefinitionState.CURRENT if same else DefinitionState.DIFFERENT
        return DefinitionState.PACKAGED if self._packaged.is_file() else DefinitionState.ABSENT

    def install(self, command: Sequence[str]) -> None:
        """Write the unit, unless a package brought it, and enable it."""
        self._need_systemd()
        need_root("install", self._is_root)
        if self._written.is_file() or not self._packaged.is_file():
            replace_whole(self._written, unit_text(command).encode("utf-8"), 0o644)
        self._tell("daemon-reload")
        self._tell("enable", UNIT)

    def uninstall(self) -> None:
        """Stop and disable it, and remove the unit if it is ours."""
        self._need_systemd()
        need_root("uninstall", self._is_root)
        self._tell("disable", "--now", UNIT)
        if self._written.is_file():
            self._written.unlink()
            self._tell("daemon-reload")
        # What it failed of before is of no interest for a service that is not there.
        self._run(("systemctl", "reset-failed", UNIT))

    def start(self) -> None:
        """Begin; the unit is active once the agent has proven its protection."""
        self._need_systemd()
        need_root("start", self._is_root)
        self._tell("start", "--no-block", UNIT)

    def stop(self) -> None:
        """Stop, and wait."""
        self._need_systemd()
        need_root("stop", self._is_root)
        self._tell("stop", UNIT)

    def status(self) -> ServiceStatus:
        """What `systemctl show` and the journal say."""
        self._need_systemd()
        command = ("systemctl", "show", UNIT, "--timestamp=unix", f"--property={','.join(_PROPERTIES)}")
        ran = self._run(command)
        if ran.status != 0:
            raise refused("systemd", command, ran)
        said = dict(line.partition("=")[::2] for line in ran.output.splitlines())
        return status_of(said, self._failure_before)

    def _failure_before(self) -> str:
        """From the journal, since a unit that runs again has forgotten how it ended before."""
        wanted = (f"--unit={UNIT}", f"MESSAGE_ID={_PROCESS_EXITED}")
        ran = self._run(("journalctl", *wanted, "--lines=1", "--output=json", "--quiet"))
        return exit_of_journal(ran)

    def _tell(self, *arguments: str) -> None:
        command = ("systemctl", *arguments)
        ran = self._run(command)
        if ran.status != 0:
            raise refused("systemd", command, ran)

    def _need_systemd(self) -> None:
        if not self._booted.is_dir():
            raise BucklerError(
                "SERVICE_NO_SUPERVISOR",
                "the services of this machine are not run by systemd",
                next_step="have the supervisor you use run `buckler run` as root; see docs/operations.md",
                exit_status=ExitStatus.ENVIRONMENT,
            )


def unit_text(command: Sequence[str]) -> str:
    """The unit, running this command."""
    line = "ExecStart=" + " ".join(_quoted(word) for word in command)
    return re.sub(r"(?m)^ExecStart=.*$", lambda _: line, shipped("systemd", UNIT))


def _quoted(word: str) -> str:
    """As systemd.service(5) reads a word of a command line: no specifier, no variable, no escape of its own."""
    word = word.replace("%", "%%").replace("$", "$$")
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def status_of(said: dict[str, str], failure_before: Callable[[], str]) -> ServiceStatus:
    """The status, from the properties of the unit.

    Args:
        said: Property by name.
        failure_before: Asked only if the properties tell of no failure.
    """
    if said.get("LoadState") == "not-found":
        return ServiceStatus("systemd")
    state = _STATES.get(said.get("ActiveState", ""), ServiceState.STOPPED)
    if said.get("SubState") == "auto-restart":
        state = ServiceState.RESTARTING
    since = said.get("StateChangeTimestamp", "").removeprefix("@")
    pid = int(said.get("MainPID") or 0)
    return ServiceStatus(
        supervisor="systemd",
        definition=said.get("FragmentPath", ""),
        enabled=said.get("UnitFileState") in {"enabled", "enabled-runtime"},
        state=state,
        pid=pid or None,
        since=datetime.fromtimestamp(int(since), UTC) if since.isdigit() and int(since) else None,
        restarts=int(said.get("NRestarts") or 0),
        last_exit=_RESULTS.get(said.get("Result", "")) or _exit_of_properties(said) or failure_before(),
        says=said.get("StatusText", ""),
    )


def _exit_of_properties(said: dict[str, str]) -> str:
    return _exit(said.get("ExecMainCode", ""), said.get("ExecMainStatus", ""))


def exit_of_journal(ran: Ran) -> str:
    """From the journal's line about the process that ended last; empty if there is none, or it is not for this user."""
    try:
        entry = json.loads(ran.output)
    except ValueError:
        return ""
    code = {"exited": _EXITED, "killed": _KILLED, "dumped": _DUMPED}.get(str(entry.get("EXIT_CODE")), "")
    return _exit(code, str(entry.get("EXIT_STATUS", "")))


def _exit(code: str, status: str) -> str:
    if code == _EXITED and status.isdigit():
        return exit_reason(int(status))
    if code in {_KILLED, _DUMPED}:
        return f"ended by signal {_signal_name(status)}" + (", with a core dump" if code == _DUMPED else "")
    return ""


def _signal_name(status: str) -> str:
    """The properties tell a number, the journal a name without its prefix."""
    try:
        return signal.Signals(int(status)).name
    except ValueError:
        return f"SIG{status}"

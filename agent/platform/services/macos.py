"""The background service under launchd; port `agent.domain.ports.ServiceSupervisor`."""

import plistlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from agent.domain.services import DefinitionState, ServiceState, ServiceStatus, exit_reason
from agent.platform.files.whole_files import replace_whole
from agent.platform.processes.age import started_at
from agent.platform.services.shipped_definitions import shipped
from agent.platform.system_tools import RunTool, is_root, need_root, refused, run_tool

LABEL = "net.buckler.agent"
_TARGET = f"system/{LABEL}"
#: Lines of `launchctl print`, e.g. `state = running`; those of the job itself are indented once.
_LINE = re.compile(r"^\t(\w[\w ]*\w) = (.*)$", re.MULTILINE)
_STATES = {
    "running": ServiceState.RUNNING,
    "spawn scheduled": ServiceState.RESTARTING,
    "spawning": ServiceState.STARTING,
    "exited": ServiceState.STOPPED,
}


class Launchd:
    """See the module.

    Args:
        run: Runs `launchctl`.
        top: Where the system's file tree begins.
        started: When a process began; None: it is gone.
        root: Whether this process may change services.
    """

    def __init__(
        self,
        run: RunTool = run_tool,
        top: Path = Path("/"),
        started: Callable[[int], datetime | None] = started_at,
        root: Callable[[], bool] = is_root,
    ) -> None:
        self._run = run
        self._is_root = root
        self._file = top / "Library/LaunchDaemons" / f"{LABEL}.plist"
        self._started = started

    def definition(self, command: Sequence[str]) -> DefinitionState:
        """Compare what is there with what `install` would write."""
        if not self._file.is_file():
            return DefinitionState.ABSENT
        same = self._file.read_bytes() == job_file(command)
        return DefinitionState.CURRENT if same else DefinitionState.DIFFERENT

    def install(self, command: Sequence[str]) -> None:
        """Write the job's file and enable it; launchd reads it at `start`, and when the machine starts."""
        need_root("install", self._is_root)
        # A job that is loaded keeps the definition it was loaded with.
        self._unload()
        replace_whole(self._file, job_file(command), 0o644)
        self._tell("enable", _TARGET)

    def uninstall(self) -> None:
        """Unload it and remove its file."""
        need_root("uninstall", self._is_root)
        self._unload()
        self._file.unlink(missing_ok=True)

    def start(self) -> None:
        """Load it, which starts it."""
        need_root("start", self._is_root)
        if not self._is_loaded():
            self._tell("bootstrap", "system", str(self._file))

    def stop(self) -> None:
        """Unload it: launchd would start again whatever is merely ended."""
        need_root("stop", self._is_root)
        self._unload()

    def status(self) -> ServiceStatus:
        """What `launchctl print` says."""
        if not self._file.is_file():
            return ServiceStatus("launchd")
        ran = self._run(("launchctl", "print", _TARGET))
        said = dict(_LINE.findall(ran.output)) if ran.status == 0 else {}
        pid = int(said.get("pid", 0)) or None
        runs = int(said.get("runs", 0))
        return ServiceStatus(
            supervisor="launchd",
            definition=str(self._file),
            enabled=self._is_enabled(),
            state=_STATES.get(said.get("state", ""), ServiceState.STOPPED),
            pid=pid,
            since=self._started(pid) if pid else None,
            restarts=max(0, runs - 1) if said else None,
            last_exit=_last_exit(said),
        )

    def _is_enabled(self) -> bool:
        """A file in its folder is enabled unless it was disabled by name."""
        listed = self._run(("launchctl", "print-disabled", "system")).output
        found = re.search(rf'"{re.escape(LABEL)}" => (\w+)', listed)
        return found is None or found[1] in {"enabled", "false"}

    def _is_loaded(self) -> bool:
        return self._run(("launchctl", "print", _TARGET)).status == 0

    def _unload(self) -> None:
        if self._is_loaded():
            self._tell("bootout", _TARGET)

    def _tell(self, *arguments: str) -> None:
        command = ("launchctl", *arguments)
        ran = self._run(command)
        if ran.status != 0:
            raise refused("launchd", command, ran)


def job_file(command: Sequence[str]) -> bytes:
    """The property list, running this command."""
    job = plistlib.loads(shipped("launchd", f"{LABEL}.plist").encode("utf-8"))
    job["ProgramArguments"] = list(command)
    return plistlib.dumps(job, sort_keys=False)


def _last_exit(said: dict[str, str]) -> str:
    signalled = said.get("last terminating signal", "")
    if signalled:
        return f"ended by signal {signalled}"
    status = said.get("last exit code", "").partition(":")[0]
    return exit_reason(int(status)) if status.isdigit() else ""

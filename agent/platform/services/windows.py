"""The background service of Windows; port `agent.domain.ports.ServiceSupervisor`.

A service of Windows speaks the protocol of the service control manager. WinSW does so for any program: it is expected
as `buckler-service.exe` in the folder of `buckler.exe`, and reads its definition from the file beside it.
"""

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.services import DefinitionState, ServiceState, ServiceStatus, exit_reason
from agent.platform.files.whole_files import replace_whole
from agent.platform.processes.age import started_at
from agent.platform.services.shipped_definitions import shipped
from agent.platform.system_tools import RunTool, is_root, need_root, refused, run_tool

NAME = "Buckler"
HOST = "buckler-service.exe"
_DEFINITION = "buckler-service.xml"
#: What `sc` ends with; winerror.h: SERVICE_DOES_NOT_EXIST, SERVICE_ALREADY_RUNNING, SERVICE_NOT_ACTIVE.
_ABSENT, _RUNS_ALREADY, _NOT_ACTIVE = 1060, 1056, 1062
#: Win32 exit codes that tell of no failure: none, never started, and "see the service's own code".
_NO_FAILURE, _NEVER_STARTED, _OWN_CODE = 0, 1077, 1066
#: Started again after five seconds, each time; what counts as a failure is forgotten after an hour.
_ON_FAILURE = ("reset=", "3600", "actions=", "restart/5000/restart/5000/restart/5000")
_LINE = re.compile(r"^\s*(\w+)\s*:\s*(.*?)\s*$", re.MULTILINE)
_STATES = {
    "1": ServiceState.STOPPED,
    "2": ServiceState.STARTING,
    "3": ServiceState.STOPPING,
    "4": ServiceState.RUNNING,
}
_LONGEST_STOP_S = 90.0
_PAUSE_S = 0.5


class WindowsServices:
    """See the module.

    Args:
        run: Runs `sc`.
        started: When a process began; None: it is gone.
        pause: Waits for some seconds.
        root: Whether this process may change services.
    """

    def __init__(
        self,
        run: RunTool = run_tool,
        started: Callable[[int], datetime | None] = started_at,
        pause: Callable[[float], None] = time.sleep,
        root: Callable[[], bool] = is_root,
    ) -> None:
        self._run = run
        self._is_root = root
        self._started = started
        self._pause = pause

    def definition(self, command: Sequence[str]) -> DefinitionState:
        """Compare what is there with what `install` would write."""
        file = Path(command[0]).with_name(_DEFINITION)
        if not self._is_known():
            return DefinitionState.ABSENT
        same = file.is_file() and file.read_text(encoding="utf-8") == host_file(command)
        return DefinitionState.CURRENT if same else DefinitionState.DIFFERENT

    def install(self, command: Sequence[str]) -> None:
        """Write the host's definition, make the service known, and have it start with the machine.

        Raises:
            BucklerError: `SERVICE_HOST_MISSING`, or as the port says.
        """
        need_root("install", self._is_root)
        host = Path(command[0]).with_name(HOST)
        if not host.is_file():
            raise BucklerError(
                "SERVICE_HOST_MISSING",
                f"{host} is not there, and a service of Windows needs it to run buckler",
                next_step="put WinSW there under this name, then install again",
                exit_status=ExitStatus.ENVIRONMENT,
            )
        replace_whole(host.with_name(_DEFINITION), host_file(command).encode("utf-8"), 0o644)
        how = ("binPath=", f'"{host}"', "start=", "auto")
        self._tell("config" if self._is_known() else "create", NAME, *how)
        self._tell("failure", NAME, *_ON_FAILURE)

    def uninstall(self) -> None:
        """Stop it and take it out of the list of services; the host's definition goes with it."""
        need_root("uninstall", self._is_root)
        definition = self._definition_file()
        self.stop()
        self._tell("delete", NAME)
        if definition is not None:
            definition.unlink(missing_ok=True)

    def start(self) -> None:
        """Start it, without waiting."""
        need_root("start", self._is_root)
        self._tell("start", NAME, fine=(_RUNS_ALREADY,))

    def stop(self) -> None:
        """Stop it, and wait: `sc` itself does not."""
        need_root("stop", self._is_root)
        self._tell("stop", NAME, fine=(_NOT_ACTIVE,))
        waited_s = 0.0
        while self.status().state is not ServiceState.STOPPED and waited_s < _LONGEST_STOP_S:
            self._pause(_PAUSE_S)
            waited_s += _PAUSE_S

    def status(self) -> ServiceStatus:
        """What `sc queryex` and `sc qc` say; nobody counts the restarts."""
        said = self._asked("queryex")
        if not said:
            return ServiceStatus("windows")
        pid = int(said.get("PID", 0)) or None
        configured = self._asked("qc")
        return ServiceStatus(
            supervisor="windows",
            definition=configured.get("BINARY_PATH_NAME", "").strip('"'),
            enabled=configured.get("START_TYPE", "").startswith("2"),
            state=_STATES.get(said.get("STATE", "")[:1], ServiceState.STOPPED),
            pid=pid,
            since=self._started(pid) if pid else None,
            last_exit=_last_exit(said),
        )

    def _definition_file(self) -> Path | None:
        host = self._asked("qc").get("BINARY_PATH_NAME", "").strip('"')
        return Path(host).with_name(_DEFINITION) if host else None

    def _is_known(self) -> bool:
        return bool(self._asked("query"))

    def _asked(self, question: str) -> dict[str, str]:
        """Answers by name; none for a service that is not known."""
        command = ("sc", question, NAME)
        ran = self._run(command)
        if ran.status == _ABSENT:
            return {}
        if ran.status != 0:
            raise refused("windows", command, ran)
        return dict(_LINE.findall(ran.output))

    def _tell(self, *arguments: str, fine: tuple[int, ...] = ()) -> None:
        command = ("sc", *arguments)
        ran = self._run(command)
        if ran.status not in {0, *fine}:
            raise refused("windows", command, ran)


def host_file(command: Sequence[str]) -> str:
    """The host's definition, running this command."""
    program, *arguments = command
    text = re.sub("<executable>.*</executable>", lambda _: _element("executable", program), _shipped())
    line = subprocess.list2cmdline(arguments)
    return re.sub("<arguments>.*</arguments>", lambda _: _element("arguments", line), text)


def _shipped() -> str:
    return shipped("windows", _DEFINITION)


def _element(name: str, text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<{name}>{escaped}</{name}>"


def _last_exit(said: dict[str, str]) -> str:
    """Numbers come as `5  (0x5)`."""
    code = int(said.get("WIN32_EXIT_CODE", "0").split()[0])
    if code == _OWN_CODE:
        return exit_reason(int(said.get("SERVICE_EXIT_CODE", "0").split()[0]))
    return "" if code in {_NO_FAILURE, _NEVER_STARTED} else f"Windows error {code}"

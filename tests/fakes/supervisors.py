"""Service supervisors: one in memory that implements the port, and the tools of three systems, answering as they do."""

import plistlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.services import DefinitionState, ServiceState, ServiceStatus
from agent.platform.system_tools import Ran

PID = 4711
SINCE = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def started(pid: int) -> datetime | None:
    """When the one process of these fakes began."""
    return SINCE if pid == PID else None


class FakeSupervisor:
    """Implements `ServiceSupervisor` in memory.

    Attributes:
        root: Whether the caller may change anything.
        refuses: What it says to everything it is told; empty: it obeys.
        packaged: The definition belongs to a package.
        states: What the states after `start` are, one for each look; then it runs.
        calls: What it was told.
    """

    def __init__(self, *, packaged: bool = False) -> None:
        self.root = True
        self.refuses = ""
        self.packaged = packaged
        self.states: list[ServiceStatus] = []
        self.calls: list[str] = []
        self._command: tuple[str, ...] | None = None
        self._enabled = self._running = False

    def definition(self, command: Sequence[str]) -> DefinitionState:
        if self.packaged:
            return DefinitionState.PACKAGED
        if self._command is None:
            return DefinitionState.ABSENT
        return DefinitionState.CURRENT if self._command == tuple(command) else DefinitionState.DIFFERENT

    def install(self, command: Sequence[str]) -> None:
        self._obey("install")
        self._command, self._enabled = tuple(command), True

    def uninstall(self) -> None:
        self._obey("uninstall")
        self._command, self._enabled, self._running = None, False, False

    def start(self) -> None:
        self._obey("start")
        self._running = True

    def stop(self) -> None:
        self._obey("stop")
        self._running = False

    def status(self) -> ServiceStatus:
        if self._command is None and not self.packaged:
            return ServiceStatus("fake")
        if self._running and self.states:
            return self.states.pop(0)
        state = ServiceState.RUNNING if self._running else ServiceState.STOPPED
        return ServiceStatus(
            "fake",
            definition="/fake/buckler",
            enabled=self._enabled,
            state=state,
            pid=PID if self._running else None,
            since=SINCE if self._running else None,
            restarts=0,
        )

    def _obey(self, what: str) -> None:
        self.calls.append(what)
        if not self.root:
            raise BucklerError("NOT_PERMITTED", "no", next_step="be root", exit_status=ExitStatus.ENVIRONMENT)
        if self.refuses:
            raise BucklerError("SERVICE_REFUSED", self.refuses, next_step="-", exit_status=ExitStatus.ENVIRONMENT)


@dataclass
class FakeTool:
    """What the tools have in common: a log of the commands, and answers that were ordered.

    Attributes:
        complaint: What it says, with status 1, to every command that changes something; empty: it obeys.
        commands: What was run.
    """

    top: Path
    complaint: str = ""
    commands: list[tuple[str, ...]] = field(default_factory=list)
    running: bool = False
    enabled: bool = False

    def __call__(self, command: Sequence[str]) -> Ran:
        """Run it."""
        self.commands.append(tuple(command))
        return self.answer(*command)

    def answer(self, tool: str, verb: str, *rest: str) -> Ran:
        """What the tool does and says."""
        raise NotImplementedError


class FakeSystemctl(FakeTool):
    """`systemctl` and `journalctl` on a machine that systemd runs.

    Attributes:
        properties: Of the unit, instead of those that follow from its state.
        journal: What `journalctl` prints.
    """

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.properties: dict[str, str] = {}
        self.journal = ""
        for folder in ("etc/systemd/system", "usr/lib/systemd/system", "run/systemd/system"):
            (top / folder).mkdir(parents=True)

    def answer(self, tool: str, verb: str, *rest: str) -> Ran:
        if tool == "journalctl":
            return Ran(0, self.journal)
        if verb == "show":
            said = self._properties() | self.properties
            return Ran(0, "".join(f"{name}={value}\n" for name, value in said.items()))
        if self.complaint:
            return Ran(1, complaint=self.complaint)
        match verb:
            case "enable":
                self.enabled = True
            case "disable":
                self.enabled, self.running = False, False
            case "start":
                self.running = True
            case "stop":
                self.running = False
            case "daemon-reload" | "reset-failed":
                pass
            case _:
                raise AssertionError(f"unexpected: {tool} {verb} {rest}")
        return Ran(0)

    def _file(self) -> Path | None:
        folders = ("etc/systemd/system", "usr/lib/systemd/system")
        return next((file for name in folders if (file := self.top / name / "buckler.service").is_file()), None)

    def _properties(self) -> dict[str, str]:
        file = self._file()
        if file is None:
            return {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}
        return {
            "LoadState": "loaded",
            "UnitFileState": "enabled" if self.enabled else "disabled",
            "ActiveState": "active" if self.running else "inactive",
            "SubState": "running" if self.running else "dead",
            "MainPID": str(PID) if self.running else "0",
            "NRestarts": "0",
            "StateChangeTimestamp": f"@{int(SINCE.timestamp())}" if self.running else "",
            "StatusText": "protected" if self.running else "",
            "FragmentPath": str(file),
            "Result": "success",
            "ExecMainCode": "0",
            "ExecMainStatus": "0",
        }


class FakeLaunchctl(FakeTool):
    """`launchctl`; a job is loaded with the program its file names at that moment.

    Attributes:
        lines: More lines of `launchctl print`.
        program: Of the job that is loaded.
    """

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.lines = ""
        self.program: list[str] = []
        (top / "Library/LaunchDaemons").mkdir(parents=True)

    def answer(self, tool: str, verb: str, *rest: str) -> Ran:
        if verb == "print":
            state = f"\tstate = running\n\tpid = {PID}\n\truns = 1\n" if self.running else ""
            text = f"system/net.buckler.agent = {{\n{state}{self.lines}}}\n"
            return Ran(0, text) if self.running else Ran(113, complaint="Could not find service")
        if verb == "print-disabled":
            word = "enabled" if self.enabled else "disabled"
            return Ran(0, f'disabled services = {{\n\t"net.buckler.agent" => {word}\n}}\n')
        if self.complaint:
            return Ran(5, complaint=self.complaint)
        match verb, rest:
            case "enable", _:
                self.enabled = True
            case "bootstrap", ("system", file):
                self.program = plistlib.loads(Path(file).read_bytes())["ProgramArguments"]
                self.running = True
            case "bootout", _:
                self.running = False
            case _:
                raise AssertionError(f"unexpected: {tool} {verb} {rest}")
        return Ran(0)


class FakeSc(FakeTool):
    """`sc`, the tool of the service control manager; errors are its exit status.

    Attributes:
        exit_codes: Win32 code and the service's own, as `sc queryex` tells them.
        looks_until_stopped: For so many looks after `stop` it is still stopping.
    """

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.host: str | None = None
        self.exit_codes = ("0  (0x0)", "0  (0x0)")
        self.looks_until_stopped = 0
        (top / "buckler-service.exe").write_bytes(b"MZ")

    def answer(self, tool: str, verb: str, *rest: str) -> Ran:
        if self.host is None and verb != "create":
            return Ran(1060, "[SC] OpenService FAILED 1060:\n\nThe specified service does not exist.\n")
        if verb in {"query", "queryex", "qc"}:
            return Ran(0, self._qc() if verb == "qc" else self._query())
        if self.complaint:
            return Ran(1, self.complaint)
        return self._change(verb, rest)

    def _change(self, verb: str, rest: tuple[str, ...]) -> Ran:
        match verb:
            case "create" | "config":
                words = dict(zip(rest[1::2], rest[2::2], strict=True))
                self.host, self.enabled = words["binPath="], words["start="] == "auto"
            case "failure":
                pass
            case "delete":
                self.host, self.enabled = None, False
            case "start" if self.running:
                return Ran(1056)
            case "start":
                self.running = True
            case "stop" if not self.running:
                return Ran(1062)
            case "stop":
                self.running = False
            case _:
                raise AssertionError(f"unexpected: sc {verb} {rest}")
        return Ran(0)

    def _query(self) -> str:
        stopping = not self.running and self.looks_until_stopped > 0
        if stopping:
            self.looks_until_stopped -= 1
        state = "4  RUNNING" if self.running else "3  STOP_PENDING" if stopping else "1  STOPPED"
        win32, own = self.exit_codes
        return (
            f"\nSERVICE_NAME: Buckler\n        TYPE               : 10  WIN32_OWN_PROCESS\n"
            f"        STATE              : {state}\n        WIN32_EXIT_CODE    : {win32}\n"
            f"        SERVICE_EXIT_CODE  : {own}\n        PID                : {PID if self.running else 0}\n"
        )

    def _qc(self) -> str:
        start = "2   AUTO_START" if self.enabled else "3   DEMAND_START"
        return (
            f"[SC] QueryServiceConfig SUCCESS\n\nSERVICE_NAME: Buckler\n        START_TYPE         : {start}\n"
            f"        BINARY_PATH_NAME   : {self.host}\n"
        )


def no_pause(_seconds: float) -> None:
    """Waits for nothing."""

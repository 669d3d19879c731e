"""Who protects: each started as a person would start it, on a folder and a disk of its own, and ended by its pid."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.local_api.client import ask_status
from benchmarks.parts.measuring import tree_cpu_s, tree_pss

_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 60.0
_CALM_TIMEOUT_S = 300.0
_PROGRAMS = Path(sys.executable).parent
#: What the peer is told; `OnAccessExcludeUname` names nobody who writes here, but one exclusion is compulsory.
_CLAMD_CONF = """\
Foreground yes
LogFileMaxSize 0
LogFile {folder}/clamd.log
LocalSocket {folder}/clamd.sock
DatabaseDirectory {folder}/database
TemporaryDirectory {folder}
User root
OnAccessIncludePath {watched}
OnAccessExcludeUname clamav
OnAccessPrevention {prevention}
"""


class Protection(Protocol):
    """One product in one mode.

    Attributes:
        name: Shown.
        blocks: Holds whoever opens a file until the verdict.
        watched: The folder it protects.
    """

    name: str
    blocks: bool
    watched: Path

    def start(self) -> None:
        """Start, and wait until it protects.

        Raises:
            RuntimeError: It does not.
        """

    def stop(self) -> None:
        """End it politely."""

    def wait_until_calm(self) -> None:
        """Until it has nothing to do.

        Raises:
            RuntimeError: It always has.
        """

    def cpu_s(self) -> float:
        """User and system time of all its processes so far."""

    def pss_bytes(self) -> int:
        """Proportional set size of all its processes: what they share counts once."""

    def taken(self) -> set[str]:
        """Names, without folders, of the files that are completely in its quarantine."""

    def events_lost(self) -> str:
        """What it says of the events it knows to have missed."""


@dataclass(slots=True)
class Buckler:
    """`buckler run`.

    Args:
        source: `fanotify` or `watchdog`.
        blocks: Asks for blocking mode; needs a licence in the data folder.
        folder: For its data, on the disk.
        watched: What it protects.
        rules: Beside the built-in ones.
    """

    source: str
    blocks: bool
    folder: Path
    watched: Path
    rules: tuple[Path, ...] = ()
    name: str = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = None
    _starts: int = 0

    def __post_init__(self) -> None:
        """Its name is what it is."""
        self.name = f"buckler {self.source} {'block' if self.blocks else 'notify'}"

    @property
    def data_dir(self) -> Path:
        """Database and vault."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """Of the agent."""
        assert self._process is not None, "started"
        return self._process.pid

    def start(self) -> None:
        """See the protocol."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config, self._starts = self.folder / "agent.toml", self._starts + 1
        config.write_text(f'[realtime]\nsource = "{self.source}"\n', encoding="utf-8")
        log = self.folder / f"agent-{self._starts}.log"
        command = [str(_PROGRAMS / "buckler"), "run", "--root", str(self.watched), "--data-dir", str(self.data_dir)]
        command += ["--config", str(config), *(f"--rules={rule}" for rule in self.rules)]
        if self.blocks:
            command += ["--mode", "block"]
        with log.open("wb") as said:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _await_line(self._process, log, re.compile(rf"^protected roots=.* source={self.source}", re.MULTILINE))
        mode = self._status("real_time_protection_mode")
        if mode != ("block" if self.blocks else "notify"):
            raise RuntimeError(f"{self.name}: mode {mode!r} is in force: {self._status('health_issues')}")
        self.wait_until_calm()

    def stop(self) -> None:
        """See the protocol."""
        _end(self._process)

    def send(self, number: signal.Signals) -> None:
        """To the agent alone, not to its children."""
        assert self._process is not None, "started"
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait(_STOP_TIMEOUT_S)

    def wait_until_calm(self) -> None:
        """See the protocol: nothing waits and no walk is owed."""
        deadline = time.monotonic() + _CALM_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._status("queue_depth") == "0" and "degraded" not in self._status("health_issues"):
                return
            time.sleep(0.25)
        raise RuntimeError(f"{self.name} does not come to rest: {self._status('health_issues')}")

    def cpu_s(self) -> float:
        """See the protocol."""
        return tree_cpu_s(self.pid)

    def pss_bytes(self) -> int:
        """See the protocol."""
        return tree_pss(self.pid)

    def taken(self) -> set[str]:
        """See the protocol."""
        listed = json.loads(self._ask("quarantine", "list", "--output", "json") or "[]")
        return {Path(entry["original_path"]).name for entry in listed if entry["state"] == "done"}

    def events_lost(self) -> str:
        """See the protocol."""
        return self._status("events_lost")

    def _status(self, name: str) -> str:
        """Asked over the socket: starting `buckler status` every time would be the largest load of all."""
        fields = asyncio.run(ask_status(self.data_dir / "status.sock"))
        return next(field.text() for field in fields if field.name == name)

    def _ask(self, *arguments: str) -> str:
        command = [str(_PROGRAMS / "buckler"), *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, check=False, capture_output=True).stdout.decode(errors="replace")


@dataclass(slots=True)
class Clamonacc:
    """The peer: Debian's `clamd` and `clamonacc`, with a database of one signature, that of the EICAR test file.

    Args:
        blocks: With `OnAccessPrevention`: then it looks at files when they are opened, and only then.
        folder: For its configuration, database, socket and quarantine, on the disk.
        watched: What it protects.
        signature: What it looks for.
    """

    blocks: bool
    folder: Path
    watched: Path
    signature: bytes
    name: str = field(init=False)
    _processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        """Its name is what it is."""
        self.name = f"clamonacc {'prevention' if self.blocks else 'notify'}"

    @staticmethod
    def installed() -> bool:
        """Whether both programs are here."""
        return all(shutil.which(program) for program in ("clamd", "clamonacc"))

    def start(self) -> None:
        """See the protocol."""
        for made in ("database", "quarantine"):
            (self.folder / made).mkdir(parents=True, exist_ok=True)
        config = self.folder / "clamd.conf"
        prevention = "yes" if self.blocks else "no"
        config.write_text(
            _CLAMD_CONF.format(folder=self.folder, watched=self.watched, prevention=prevention), encoding="utf-8"
        )
        (self.folder / "database/one.ndb").write_text(f"Benchmark.EICAR:0:*:{self.signature.hex()}\n", encoding="ascii")
        self._run(["clamd", "-c", str(config)], "clamd.out", "Self checking")
        move = f"--move={self.folder / 'quarantine'}"
        self._run(["clamonacc", "-F", "-c", str(config), "--fdpass", move], "clamonacc.out", "watching")
        time.sleep(1.0)  # it says so before its marks are set, and nothing afterwards

    def _run(self, command: list[str], log_name: str, ready: str) -> None:
        log = self.folder / log_name
        with log.open("wb") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self._processes.append(process)
        _await_line(process, log, re.compile(ready))

    def stop(self) -> None:
        """See the protocol."""
        for process in reversed(self._processes):
            _end(process)
        self._processes.clear()

    def wait_until_calm(self) -> None:
        """See the protocol. It tells nobody what it is doing; one second without work counts as rest."""
        deadline, before = time.monotonic() + _CALM_TIMEOUT_S, -1.0
        while (now := self.cpu_s()) > before + 0.01 and time.monotonic() < deadline:
            before = now
            time.sleep(1.0)

    def cpu_s(self) -> float:
        """See the protocol."""
        return sum(tree_cpu_s(process.pid) for process in self._processes)

    def pss_bytes(self) -> int:
        """See the protocol."""
        return sum(tree_pss(process.pid) for process in self._processes)

    def taken(self) -> set[str]:
        """See the protocol. It keeps names only, so every planted file has one of its own."""
        return {path.name for path in (self.folder / "quarantine").iterdir()}

    def events_lost(self) -> str:
        """It does not count them."""
        return "unknown"


def _await_line(process: "subprocess.Popen[bytes]", log: Path, line: re.Pattern[str]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if line.search(log.read_text(errors="replace")):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not protect:\n{log.read_text(errors='replace')[-2000:]}")


def _end(process: "subprocess.Popen[bytes] | None") -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

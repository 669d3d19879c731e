"""A control plane, its admin and devices in scratch folders, driven only through the programs a person has."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.processes import Finished, Runner, Service, run_loaded
from tests.fakes.made_once import folder_of_templates
from tests.integration.compiled_rules import device_folder

ADMIN = "admin@example.com"
PASSWORD = "correct horse battery staple"  # a scratch installation, gone when the story ends


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0, poll_s: float = 0.1) -> float:
    """Wait for an observable fact; returns the seconds it took.

    Raises:
        AssertionError: It did not become true in time.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(poll_s)
    return time.monotonic() - began


#: What `init` said of installations that are copied, by plan.
_said: dict[str, dict[str, Any]] = {}


@dataclass(slots=True)
class Server:
    """`buckler-server` on loopback."""

    data_dir: Path
    service: Service | None = None
    address: str = "127.0.0.1:0"
    device_address: str = "127.0.0.1:0"
    check_in_interval_s: int = 1
    #: Runs the commands of everybody here.
    run: Runner = run_loaded

    def init(self, plan: str) -> dict[str, Any]:
        """Create everything; returns what `init` says."""
        arguments = (
            "--data-dir",
            str(self.data_dir),
            "--org",
            "Example household",
            "--sandbox",
            "--admin-email",
            ADMIN,
        )
        options = ("--admin-password-stdin", "--plan", plan, "--output", "json")
        said: dict[str, Any] = (
            self.run("buckler-server", "init", *arguments, *options, stdin=PASSWORD + "\n").expect().json()
        )
        return said

    def copy(self, plan: str) -> dict[str, Any]:
        """Have a copy of what `init` made once in this process; returns what it said then."""
        template = folder_of_templates() / f"household-{plan}"
        if plan not in _said:
            _said[plan] = Server(template, run=self.run).init(plan)
        shutil.copytree(template, self.data_dir)
        return _said[plan]

    @property
    def ca_file(self) -> Path:
        """What clients verify the server against."""
        return self.data_dir / "ca.pem"

    def start(self) -> None:
        """Serve; after the first time on the same ports as before."""
        listen = ("--listen", self.address, "--device-listen", self.device_address)
        options = ("--check-in-interval", str(self.check_in_interval_s))
        self.service = Service("buckler-server", ["serve", "--data-dir", str(self.data_dir), *listen, *options])
        ready = self.service.wait_for(r"serving tls=(\S+) mtls=(\S+)")
        self.address, self.device_address = ready.group(1), ready.group(2)

    def stop(self) -> None:
        """Politely."""
        if self.service is not None:
            self.service.stop()

    def kill(self) -> None:
        """As a power cut would."""
        if self.service is not None:
            self.service.kill()


@dataclass(slots=True)
class Admin:
    """A person with `bucklerctl`."""

    server: Server
    config_dir: Path

    def ctl(self, *arguments: str, stdin: str = "") -> Finished:
        """Run one command with JSON output."""
        return self.server.run("bucklerctl", *arguments, "--output", "json", stdin=stdin, env=self._env())

    def text(self, *arguments: str) -> Finished:
        """Run one command as a person sees it."""
        return self.server.run("bucklerctl", *arguments, env=self._env())

    def login(self) -> Finished:
        """Sign in; the password comes on standard input."""
        where = ("--server", self.server.address, "--ca", str(self.server.ca_file), "--email", ADMIN)
        return self.ctl("login", *where, stdin=PASSWORD + "\n")

    def _env(self) -> dict[str, str]:
        return {"BUCKLERCTL_CONFIG_DIR": str(self.config_dir), "COLUMNS": "110"}


@dataclass(slots=True)
class Device:
    """A device with `buckler`, its data in a folder of its own."""

    server: Server
    data_dir: Path
    service: Service | None = None
    #: It was never started: its rules have to be compiled first.
    is_new: bool = False

    def __post_init__(self) -> None:
        if not self.is_new:
            device_folder(self.data_dir)

    def buckler(self, *arguments: str, stdin: str = "") -> Finished:
        """Run one command."""
        return self.server.run("buckler", *arguments, "--data-dir", str(self.data_dir), stdin=stdin, env=self._env())

    def activate(self, key: str) -> Finished:
        """Ask for a seat."""
        where = ("--server", self.server.address, "--ca", str(self.server.ca_file))
        return self.buckler("activate", *where, "--output", "json", stdin=key + "\n")

    def activate_in_background(self, key_file: Path) -> Service:
        """Ask for a seat without waiting for the answer."""
        where = ("--server", self.server.address, "--ca", str(self.server.ca_file), "--key-file", str(key_file))
        return Service("buckler", ["activate", *where, "--data-dir", str(self.data_dir)])

    def start(self, *roots: Path, options: tuple[str, ...] = ()) -> re.Match[str]:
        """Protect folders; returns once protection is proven."""
        watched = [word for root in roots for word in ("--root", str(root))]
        self.service = Service("buckler", ["run", *watched, *options, "--data-dir", str(self.data_dir)])
        return self.service.wait_for(r"protected roots=(\S+) source=(\w+)")

    def stop(self) -> None:
        """Politely."""
        if self.service is not None:
            self.service.stop()

    def kill(self) -> None:
        """As a power cut would."""
        if self.service is not None:
            self.service.kill()

    def field(self, name: str) -> str:
        """One value of `buckler status`, as a person reads it."""
        return self.buckler("status", "--field", name).stdout.strip()

    def status(self) -> dict[str, str]:
        """All of `buckler status`, as a person reads it."""
        lines = self.buckler("status").stdout.splitlines()
        parted = (line.partition(" :") for line in lines)
        return {name: value.strip() for name, _, value in parted}

    def quarantined(self) -> list[dict[str, Any]]:
        """What `buckler quarantine list` shows."""
        files: list[dict[str, Any]] = self.buckler("quarantine", "list", "--output", "json").expect().json()
        return files

    def _env(self) -> dict[str, str]:
        return {"BUCKLER_CONFIG": ""}

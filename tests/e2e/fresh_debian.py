"""A Debian of this machine's release with systemd running it, on a disk of its own; gone afterwards.

Its disk is a file: a test must not make the agent in there watch the file system that this machine lives on.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.e2e.installation import wait_until
from tests.e2e.processes import Finished

_TOOLS = ("debootstrap", "systemd-nspawn", "mkfs.ext4", "nsenter", "dpkg-deb")
_DISK_BYTES = 3 << 30
#: What a container may usually not ask of the kernel, and an agent must.
_CALLS = "fanotify_init fanotify_mark open_by_handle_at"
_ENVIRONMENT = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
_BOOT_S = 60.0
_COMMAND_S = 300.0


class NoDebianError(Exception):
    """Why there is none; a reason to skip."""


def missing_tools() -> list[str]:
    """What has to be installed here first."""
    return [tool for tool in _TOOLS if shutil.which(tool) is None]


class FreshDebian:
    """One that runs.

    Args:
        top: Its file tree.
        init: Process id of its systemd.
    """

    def __init__(self, top: Path, init: int) -> None:
        self.top = top
        self._init = init

    def run(self, *command: str) -> Finished:
        """Run a command in there, as its root, to the end."""
        enter = ("nsenter", "--target", str(self._init), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root")
        done = subprocess.run(
            [*enter, "--", "env", "--ignore-environment", "--chdir=/", *_ENVIRONMENT, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_S,
            check=False,
        )
        return Finished(command, done.returncode, done.stdout, done.stderr)

    def field(self, name: str) -> str:
        """Of `buckler service status`."""
        said = self.run("buckler", "service", "status").stdout
        found = re.search(rf"(?m)^{name} : ?(.*)$", said)
        if found is None:
            raise AssertionError(f"no {name} in\n{said}")
        return found[1]

    def install(self, package: Path) -> tuple[Finished, float]:
        """Install a package as a person does; returns what was said, and the seconds it took."""
        shutil.copy(package, self.top / "root" / package.name)
        began = time.monotonic()
        said = self.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{package.name}").expect()
        return said, time.monotonic() - began


@contextmanager
def fresh_debian(scratch: Path) -> Iterator[FreshDebian]:
    """Make one and boot it.

    Raises:
        NoDebianError: A tool is missing here, its packages cannot be had, or it does not boot.
    """
    missing = missing_tools()
    if missing:
        raise NoDebianError(f"not installed here: {', '.join(missing)}")
    disk, top = scratch / "disk.img", scratch / "debian"
    top.mkdir()
    with disk.open("wb") as file:
        file.truncate(_DISK_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(top)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise NoDebianError(f"no loop device: {error.stderr!r}") from error
    try:
        _bootstrap(top)
        with (scratch / "boot.log").open("wb") as log, _booted(top, log) as debian:
            yield debian
    finally:
        subprocess.run(["umount", "--lazy", str(top)], check=False, capture_output=True)
        disk.unlink()


def _bootstrap(top: Path) -> None:
    release = re.search(r"(?m)^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text())
    command = (
        "debootstrap",
        "--variant=minbase",
        "--include=systemd,systemd-sysv,dbus",
        release[1] if release else "stable",
    )
    done = subprocess.run([*command, str(top)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoDebianError(f"debootstrap: {(done.stderr or done.stdout).strip()[-200:]}")


@contextmanager
def _booted(top: Path, log: IO[bytes]) -> Iterator[FreshDebian]:
    name = f"buckler-test-{os.getpid()}"
    options = ("--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe", f"--system-call-filter={_CALLS}")
    nspawn = subprocess.Popen(
        ["systemd-nspawn", *options, f"--directory={top}", f"--machine={name}"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        try:
            wait_until(lambda: _is_up(top, nspawn), "systemd runs in there", _BOOT_S)
        except AssertionError as error:
            raise NoDebianError(
                f"systemd-nspawn: {error}; {Path(log.name).read_text(errors='replace')[-200:]}"
            ) from error
        yield FreshDebian(top, _init_of(nspawn))
    finally:
        nspawn.send_signal(signal.SIGTERM)
        try:
            nspawn.wait(60)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()


def _is_up(top: Path, nspawn: "subprocess.Popen[bytes]") -> bool:
    if nspawn.poll() is not None:
        raise NoDebianError(f"systemd-nspawn ended with status {nspawn.returncode}")
    init = _init_of(nspawn)
    said = FreshDebian(top, init).run("systemctl", "is-system-running").stdout.strip() if init else ""
    return said in {"running", "degraded"}


def _init_of(nspawn: "subprocess.Popen[bytes]") -> int:
    """0: not yet."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
    return int(children[0]) if children else 0

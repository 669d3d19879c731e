"""What a confined process can no longer do, tried by a confined process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.scanner.settings import ScannerSettings
from tests.fakes.eicar import EICAR
from tests.integration.scanning import running_scanner, scan_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers of Linux")

#: Runs after `harden`; everything it needs is imported before. Each attempt reports its errno, or 0 if it worked.
_PRISONER = """
import ctypes, json, mmap, os, resource, socket, sys
from agent.platform.sandbox.hardening import harden
from agent.platform.sandbox.plan import SandboxPlan
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return ctypes.get_errno() if libc.syscall(*arguments) == -1 else 0
report = harden(SandboxPlan(64 << 20, 3600, os.getppid()))
outcome = {}
def attempt(name, action):
    try:
        result = action()
    except OSError as error:
        outcome[name] = error.errno
    else:
        outcome[name] = result if isinstance(result, int) and name.startswith("raw") else 0
attempt("open", lambda: os.open("/etc/hostname", os.O_RDONLY))
attempt("create", lambda: os.open("/tmp/buckler-prisoner", os.O_CREAT | os.O_WRONLY))
attempt("stat", lambda: os.stat("/etc/hostname"))
attempt("list", lambda: os.listdir("/"))
attempt("inet socket", lambda: socket.socket(socket.AF_INET))
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("execute", lambda: os.execv("/bin/true", ["true"]))
attempt("fork", os.fork)
attempt("kill parent", lambda: os.kill(os.getppid(), 0))
attempt("ptrace", lambda: (_ for _ in ()).throw(OSError(call(101, 16, os.getppid(), 0, 0), "")))
attempt("executable memory", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
try:
    bytearray(256 << 20)
    outcome["memory"] = 0
except MemoryError:
    outcome["memory"] = 12
outcome["in_force"] = report.in_force
outcome["missing"] = [[m.layer, m.reason] for m in report.missing]
os.write(1, json.dumps(outcome).encode())
"""


def imprison() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _PRISONER], capture_output=True, timeout=30, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    if {"no_file_access", "system_call_filter"} - set(outcome["in_force"]):
        pytest.skip(f"this kernel gives no full sandbox: {outcome['missing']}")
    return outcome


@pytest.mark.parametrize(
    "what",
    [
        "open",
        "create",
        "stat",
        "list",
        "inet socket",
        "unix socket",
        "execute",
        "fork",
        "kill parent",
        "ptrace",
        "executable memory",
        "memory",
    ],
)
def test_a_confined_process_fails_at(what: str) -> None:
    assert imprison()[what] in {1, 12, 13}  # EPERM, ENOMEM, EACCES
    assert not Path("/tmp/buckler-prisoner").exists()


async def test_the_real_worker_reports_every_layer_and_still_scans(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner() as service:
        report = service.sandbox()
        assert report is not None
        assert set(report.in_force) | {layer.layer for layer in report.missing} == {
            "unprivileged_user",
            "no_new_privileges",
            "resource_limits",
            "dies_with_parent",
            "no_file_access",
            "system_call_filter",
        }
        assert all(layer.reason for layer in report.missing)
        assert (await scan_path(service, tmp_path / "e")).findings


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root has privileges to drop")
async def test_a_worker_of_root_is_nobody_and_has_no_capability_left() -> None:
    async with running_scanner() as service:
        (pid,) = service.worker_pids()
        status = status_of(pid)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert status["Groups"] == ""
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text(encoding="ascii")


async def test_a_worker_may_use_so_much_processor_time_and_no_more() -> None:
    settings = ScannerSettings(workers=1)
    async with running_scanner(settings) as service:
        (pid,) = service.worker_pids()
        limits = limits_of(pid)
    (line,) = (line for line in limits.splitlines() if line.startswith("Max cpu time"))
    assert line.split()[3:5] == [str(settings.cpu_limit_s())] * 2


def is_gone(pid: int) -> bool:
    try:
        return status_of(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_worker_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert parent.stdout is not None
    with parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30
    while not is_gone(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(worker)


_PARENT = """
import asyncio
from tests.integration.scanning import running_scanner
async def main():
    async with running_scanner() as service:
        print(*service.worker_pids(), flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""

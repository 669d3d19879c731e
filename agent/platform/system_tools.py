"""Programs of the operating system that are told what to do: `systemctl`, `launchctl`, `sc`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.domain.errors import BucklerError, ExitStatus

#: A service that is told to stop has half a minute before it is ended; its supervisor answers after that.
PATIENCE_S = 90.0
#: Folders of the operating system; the caller's PATH is not asked, since root may be the caller.
_FOLDERS = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that has ended.

    Attributes:
        status: Exit status; negative: minus the signal that ended it.
        output: What it wrote to standard output.
        complaint: What it wrote to standard error.
    """

    status: int
    output: str = ""
    complaint: str = ""


#: Runs a program of the system to its end: its name and arguments.
RunTool = Callable[[Sequence[str]], Ran]


def run_tool(command: Sequence[str]) -> Ran:
    """Run a program of the system, in English and without a terminal.

    Raises:
        BucklerError: `SYSTEM_TOOL_MISSING`, `SYSTEM_TOOL_HANGS`.
    """
    name, *arguments = command
    program = shutil.which(name, path=None if sys.platform == "win32" else _FOLDERS)
    if program is None:
        raise BucklerError(
            "SYSTEM_TOOL_MISSING",
            f"the program {name} is not on this machine",
            next_step="install it from your system's packages",
            exit_status=ExitStatus.ENVIRONMENT,
        )
    try:
        done = subprocess.run(  # noqa: S603 -- a program of the system, arguments of ours, no shell
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BucklerError(
            "SYSTEM_TOOL_HANGS",
            f"{name} {' '.join(arguments)} has not answered for {PATIENCE_S:.0f} s",
            next_step="try it yourself; if it hangs too, the system's service supervisor is in trouble",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    return Ran(done.returncode, done.stdout, done.stderr)


def refused(supervisor: str, command: Sequence[str], ran: Ran) -> BucklerError:
    """What a supervisor said instead of doing as it was told, as one sentence."""
    said = " ".join((ran.complaint.strip() or ran.output.strip()).split())
    return BucklerError(
        "SERVICE_REFUSED",
        f"{supervisor} refused `{' '.join(command)}`: {said or f'exit status {ran.status}'}".rstrip("."),
        next_step="see `buckler service status`, and what the supervisor has logged",
        exit_status=ExitStatus.ENVIRONMENT,
        facts={"supervisor": supervisor, "status": str(ran.status)},
    )


def need_root(what: str, may: Callable[[], bool]) -> None:
    """Insist on the rights of root, or of an elevated prompt on Windows.

    Args:
        what: `start`, `stop`, and so on.
        may: Whether this process has them; `is_root`.

    Raises:
        BucklerError: `NOT_PERMITTED`.
    """
    if may():
        return
    how = "from an elevated prompt" if sys.platform == "win32" else "as root, with sudo for example"
    raise BucklerError(
        "NOT_PERMITTED",
        f"only an administrator may {what} the service",
        next_step=f"run the same command {how}",
        exit_status=ExitStatus.ENVIRONMENT,
    )


def is_root() -> bool:
    """Whether this process may change the machine's services."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0

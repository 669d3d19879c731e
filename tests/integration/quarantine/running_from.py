"""A program that is copied, started from its copy and ended by the test; what it ignores is its argument."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Waits without another process: one it forked would run from the same file.
_STUBBORN = "trap '' TERM; echo ready; read -r never"


@contextmanager
def running_copy(target: Path) -> Iterator["subprocess.Popen[str]"]:
    """`/bin/sleep`, from a copy of it."""
    shutil.copy2("/bin/sleep", target)
    with subprocess.Popen([str(target), "600"], text=True) as process:
        try:
            yield process
        finally:
            _end(process)


@contextmanager
def stubborn_copy(target: Path) -> Iterator["subprocess.Popen[str]"]:
    """A shell, from a copy of it, that does not end when asked to."""
    shutil.copy2("/bin/sh", target)
    command = [str(target), "-c", _STUBBORN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", sys.platform
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.wait(timeout=30)

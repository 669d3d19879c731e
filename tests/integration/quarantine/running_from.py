"""A program that is copied, started from its copy and ended by the test; what it ignores is its argument."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


@contextmanager
def running_copy(target: Path) -> Iterator["subprocess.Popen[str]"]:
    """`/bin/sleep`, from a copy of it."""
    shutil.copy2("/bin/sleep", target)
    with subprocess.Popen([str(target), "60"], text=True) as process:
        try:
            yield process
        finally:
            _end(process)


@contextmanager
def stubborn_copy(target: Path) -> Iterator["subprocess.Popen[str]"]:
    """A shell, from a copy of it, that does not end when asked to."""
    shutil.copy2("/bin/sh", target)
    with subprocess.Popen([str(target), "-c", _STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", sys.platform
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.wait(timeout=10)

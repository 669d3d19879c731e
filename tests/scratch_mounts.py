"""File systems of a test's own: private, small, gone afterwards."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.platform.fanotify import permitted

needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or not permitted(),
    reason="needs root on Linux, with mounts and fanotify permitted",
)


@contextmanager
def scratch_tmpfs(point: Path, options: str = "size=64m") -> Iterator[Path]:
    """A tmpfs at `point` for the length of the block."""
    point.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "buckler-test", str(point)], check=True)
    try:
        yield point
    finally:
        # Lazily, so that a failing test that still holds a file does not leave a mount behind.
        subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)


def open_descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())

"""File systems of a benchmark's own, gone afterwards."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_disk(point: Path) -> Iterator[Path]:
    """A tmpfs at `point`, so that marks on it are on nothing else; without root a plain folder."""
    point.mkdir(parents=True)
    if os.geteuid() != 0:
        yield point
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "buckler-bench", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)

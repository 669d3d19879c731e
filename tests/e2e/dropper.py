"""The second program of the story: writes harmless files and EICAR in several shapes, and says when.

`python -m tests.e2e.dropper FOLDER SHAPE…` prints one JSON line for each file: its path and the monotonic time, in
nanoseconds, of the moment from which a scanner could have seen it.
"""

import io
import json
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.fakes.eicar import EICAR


def _zip(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _tar_gz(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


SHAPES: dict[str, Callable[[], bytes]] = {
    "plain.com": lambda: EICAR,
    "invoice.zip": lambda: _zip("invoice/eicar.com", EICAR),
    "backup.tar.gz": lambda: _tar_gz("etc/eicar.com", EICAR),
    "nested.zip": lambda: _zip("inner.zip", _zip("deep/eicar.com", EICAR)),
    "renamed.com": lambda: EICAR,
}


def drop(folder: Path, name: str) -> tuple[Path, int]:
    """Write one shape; `renamed.com` is written beside the folder and moved in."""
    content = SHAPES[name]() if name in SHAPES else EICAR
    path = folder / name
    if name.startswith("renamed"):
        outside = folder.parent / f"{name}.part"
        outside.write_bytes(content)
        outside.rename(path)
    else:
        path.write_bytes(content)
    return path, time.monotonic_ns()


def main() -> None:
    """Drop each named shape."""
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        path, at_ns = drop(folder, name)
        sys.stdout.write(json.dumps({"path": str(path), "at_ns": at_ns}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Freezes the protocol as it is now under a name that is not taken yet."""

import base64
import gzip
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.vectors.protocol import FOLDER

SOURCES = FOLDER.parents[2] / "proto"


def descriptor_set() -> bytes:
    """What the compiler makes of the sources."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "set"
        options = ["-I", str(SOURCES), "--include_imports", f"--descriptor_set_out={made}"]
        files = sorted(str(path) for path in (SOURCES / "wire" / "v1").glob("*.proto"))
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *files], check=True)
        return made.read_bytes()


def freeze(name: str) -> None:
    """Write it; a frozen one is never written again."""
    text = base64.b64encode(gzip.compress(descriptor_set(), mtime=0)).decode()
    with (FOLDER / f"{name}.b64").open("x", encoding="ascii") as file:
        file.write("\n".join(textwrap.wrap(text, 120)) + "\n")


if __name__ == "__main__":
    freeze(sys.argv[1])

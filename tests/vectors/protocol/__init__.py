"""Protocols that agents and servers out there speak, as descriptor sets; more are added, none is changed.

python -m tests.vectors.protocol NAME
"""

import base64
import gzip
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

FOLDER = Path(__file__).parent


def frozen_protocols() -> dict[str, FileDescriptorSet]:
    """All of them, by name."""
    return {
        path.stem: FileDescriptorSet.FromString(gzip.decompress(base64.b64decode(path.read_bytes())))
        for path in sorted(FOLDER.glob("*.b64"))
    }

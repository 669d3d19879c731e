"""Reads descriptors that others may share: always with `pread`, never moving an offset, never beyond a bound."""

import io
import os
from typing import Any

#: What is asked for when the size is not known to be more.
_LEAST_READ = 64 * 1024


def read_content(descriptor: int, size_hint: int, limit: int) -> bytes | None:
    """Read a file from its start to its end.

    Args:
        descriptor: Open for reading.
        size_hint: Bytes it should have; saves copying, and is not believed.
        limit: Most bytes to read.

    Returns:
        The content; None: it has more bytes than the limit.

    Raises:
        OSError: It cannot be read.
    """
    chunks: list[bytes] = []
    size = 0
    while size <= limit:
        wanted = min(limit + 1 - size, max(size_hint + 1 - size, _LEAST_READ))
        chunk = os.pread(descriptor, wanted, size)
        size += len(chunk)
        if chunk:
            chunks.append(chunk)
        # One byte more than the hint was asked for; exactly the hint came: that was the end.
        if not chunk or (size == size_hint and len(chunk) < wanted):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return None


class PreadFile(io.RawIOBase):
    """A file object over a descriptor whose offset is shared with other processes.

    Args:
        descriptor: Stays open when this is closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read on from where the last read ended."""
        view = memoryview(buffer)
        count = os.preadv(self._descriptor, [view], self._at)
        self._at += count
        return count

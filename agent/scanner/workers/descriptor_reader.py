"""Reads descriptors that others may share: always with `pread`, never moving an offset, never beyond a bound."""

import os

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

"""A process of our own, whose memory holds what a test puts there."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Prints a line once it is ready, then waits for the end of its input. The content is put together at run time, so
#: that it is not in the memory of whoever starts this.
_PROGRAM = """
import mmap, sys
content = bytes.fromhex(sys.argv[1]) * {times}
held = mmap.mmap(-1, {reserve}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
held[{at}:{at} + len(content)] = content
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def process_with(content: bytes, *, times: int = 1, reserve: int = 1 << 20, at: int = 8192) -> Iterator[int]:
    """Its pid, until the block ends.

    Args:
        content: Is written into anonymous memory.
        times: So many times, one after the other.
        reserve: Size of the mapping, of which nothing else is touched.
        at: Where in it.
    """
    program = _PROGRAM.format(times=times, reserve=reserve, at=at)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, content.hex()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()

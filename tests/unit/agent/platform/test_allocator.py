"""The allocator is told to keep memory; what that saves is measured by `python -m benchmarks.routing`."""

import os
import sys

import pytest

from agent.platform.allocator import give_back_freed_memory, keep_freed_memory
from agent.platform.processes.costs import usage_of


def test_it_may_be_called_anywhere_and_again() -> None:
    for _ in range(2):
        keep_freed_memory()
    assert bytes(1 << 22) == b"\0" * (1 << 22)


def resident_bytes() -> int:
    usage = usage_of(os.getpid())
    assert usage is not None
    return usage.resident_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own function")
def test_what_lies_free_between_blocks_in_use_goes_back_to_the_kernel() -> None:
    blocks = [bytearray(4096) for _ in range(10_000)]
    kept = blocks[::100]
    del blocks
    before = resident_bytes()
    give_back_freed_memory()
    assert before - resident_bytes() > 20 << 20
    assert kept

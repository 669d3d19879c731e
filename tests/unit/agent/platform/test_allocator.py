"""The allocator is told to keep memory; what that saves is measured by `python -m benchmarks.routing`."""

import gc
import weakref

from agent.platform.allocator import collect_rarely, keep_freed_memory


def test_it_may_be_called_anywhere_and_again() -> None:
    for _ in range(2):
        keep_freed_memory()
    assert bytes(1 << 22) == b"\0" * (1 << 22)


def test_circles_are_looked_for_seldom_and_still_found() -> None:
    before = gc.get_threshold()
    gc.set_threshold(700)
    try:
        collect_rarely()
        assert gc.get_threshold()[0] > 700
        gone = weakref.ref(_Circle())
        gc.collect()
        assert gone() is None
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Circle:
    def __init__(self) -> None:
        self.me = self

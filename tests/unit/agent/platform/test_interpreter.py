"""Garbage, and who may have the interpreter."""

import gc
import weakref

from agent.platform.interpreter import collect_rarely


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

"""Ctrl-C and SIGTERM as an orderly end, for what looks now and then whether it was told to stop.

For what waits in an event loop there is `agent.cli.scan.until_interrupted`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Interruption:
    """Whether somebody asked to stop."""

    happened: bool = False


@contextmanager
def noticing_interruption() -> Iterator[Interruption]:
    """Note SIGINT and SIGTERM, and do nothing else about them. Only in the main thread."""
    interruption = Interruption()

    def note(_number: int, _frame: object) -> None:
        interruption.happened = True

    before = [(number, signal.signal(number, note)) for number in SIGNALS]
    try:
        yield interruption
    finally:
        for number, handler in before:
            signal.signal(number, handler)

"""Where both programs begin: Ctrl-C while one is being loaded ends it without a traceback."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from controlplane.cli.interrupted import EXIT_INTERRUPTED


def bucklerctl() -> None:
    """The entry point of the installed program."""
    with _leaving_when_interrupted():
        from controlplane.cli.bucklerctl import main
    main()


def buckler_server() -> None:
    """The entry point of the installed program."""
    with _leaving_when_interrupted():
        from controlplane.cli.buckler_server import main
    main()


@contextmanager
def _leaving_when_interrupted() -> Iterator[None]:
    # Whoever has Ctrl-C ignored, as shells do for what runs in the background, keeps it that way.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _leave)
    yield
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """At once: nothing was begun that had to be ended, and modules that load may take an exception for their own."""
    os._exit(EXIT_INTERRUPTED)

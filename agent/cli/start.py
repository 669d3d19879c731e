"""Where `buckler` begins: Ctrl-C while the program is being loaded ends it without a traceback."""

import os
import signal
from types import FrameType

from agent.cli.interrupted import EXIT_INTERRUPTED


def buckler() -> None:
    """The entry point of the installed program."""
    # Whoever has Ctrl-C ignored, as shells do for what runs in the background, keeps it that way.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _leave)
    from agent.cli.main import main

    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


def _leave(_number: int, _frame: FrameType | None) -> None:
    """At once: nothing was begun that had to be ended, and modules that load may take an exception for their own."""
    os._exit(EXIT_INTERRUPTED)

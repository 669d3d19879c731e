"""Where `buckler` begins: Ctrl-C while the program is being loaded ends it without a traceback.

Imports next to nothing: until `buckler` has begun, Ctrl-C is answered by Python. Hence not even `signal` or `typing`,
which take several times as long as all that this file does besides.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, and puts enumerations around
import os

from agent.cli.interrupted import EXIT_INTERRUPTED


def buckler() -> None:
    """The entry point of the installed program."""
    # Whoever has Ctrl-C ignored, as shells do for what runs in the background, keeps it that way.
    heard = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if heard:
        _signal.signal(_signal.SIGINT, _leave)
    from agent.cli.main import main

    if heard:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    main()


def _leave(_number: int, _frame: object) -> None:
    """At once: nothing was begun that had to be ended, and modules that load may take an exception for their own."""
    os._exit(EXIT_INTERRUPTED)

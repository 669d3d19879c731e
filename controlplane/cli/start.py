"""Where both programs begin: Ctrl-C while one is being loaded ends it without a traceback.

Imports next to nothing: until a program has begun, Ctrl-C is answered by Python. Hence not even `signal` or `typing`,
which take several times as long as all that this file does besides.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, and puts enumerations around
import os

from controlplane.cli.interrupted import EXIT_INTERRUPTED


def bucklerctl() -> None:
    """The entry point of the installed program."""
    _leave_when_interrupted()
    from controlplane.cli.bucklerctl import main

    _hear_it_again()
    main()


def buckler_server() -> None:
    """The entry point of the installed program."""
    _leave_when_interrupted()
    from controlplane.cli.buckler_server import main

    _hear_it_again()
    main()


def _leave_when_interrupted() -> None:
    # Whoever has Ctrl-C ignored, as shells do for what runs in the background, keeps it that way.
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _leave)


def _hear_it_again() -> None:
    if _signal.getsignal(_signal.SIGINT) is _leave:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _leave(_number: int, _frame: object) -> None:
    """At once: nothing was begun that had to be ended, and modules that load may take an exception for their own."""
    os._exit(EXIT_INTERRUPTED)

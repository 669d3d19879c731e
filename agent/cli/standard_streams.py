"""Standard streams that are closed, full, or no longer read: a command ends with a status, never with a traceback."""

import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from agent.domain.errors import BucklerError, ExitStatus

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: 128 + SIGPIPE, as shells report it: the answer was not told to its end, so no other status would be true.
EXIT_NOT_READ: Final = 141
_STDOUT: Final = 1

TellError = Callable[[BucklerError], None]


class _Output(io.FileIO):
    """Standard output without buffers; the first failure ends the program, and what is left over goes nowhere."""

    def __init__(self, tell: TellError) -> None:
        super().__init__(_STDOUT, "wb", closefd=False)
        self._tell = tell

    def write(self, data: "ReadableBuffer", /) -> int:
        """Raises SystemExit, which no handler of failures takes for one of its own."""
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, _STDOUT)
            if isinstance(error, BrokenPipeError):
                raise SystemExit(EXIT_NOT_READ) from error
            self._tell(_not_written(error))
            raise SystemExit(int(ExitStatus.ENVIRONMENT)) from error


def prepare_streams(tell: TellError) -> None:
    """Make the standard streams of this process ones that can be used.

    Args:
        tell: Says that the output cannot be written, and why.
    """
    sys.stdin = sys.stdin or _nowhere("r")
    sys.stderr = sys.stderr or _nowhere("w")
    if isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are no text are refused where it is known what they were meant to be.
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdout is None:
        # Closed by whoever called: nothing is wanted but the status, and its number may be another file's by now.
        sys.stdout = _nowhere("w")
        return
    # A terminal without a character shows its escape.
    errors = "backslashreplace" if sys.stdout.errors == "strict" else sys.stdout.errors
    output, encoding = _Output(tell), sys.stdout.encoding
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), encoding, errors, line_buffering=output.isatty())


def _nowhere(mode: str) -> TextIO:
    return io.TextIOWrapper(io.FileIO(os.devnull, mode), encoding="utf-8")


def _not_written(error: OSError) -> BucklerError:
    return BucklerError(
        "OUTPUT_NOT_WRITTEN",
        f"the answer could not be written to its end: {error.strerror}",
        next_step="see to the file or disk that standard output goes to, then run it again",
        exit_status=ExitStatus.ENVIRONMENT,
    )

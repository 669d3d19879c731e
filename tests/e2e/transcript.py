"""A readable account of what happened, as it happens."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Transcript:
    """Prints numbered steps, what was observed in each, and how long it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first word."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, letter: str, title: str) -> Iterator[None]:
        """One step of the story; a failed observation ends it."""
        self._print("")
        self._print(self._bold(f"{letter}. {title}"))
        began = time.monotonic()
        yield
        self._print(f"   {self._green('ok')}, {time.monotonic() - began:.1f} s")

    def say(self, line: str) -> None:
        """One observed fact."""
        self._print(f"   {line}")

    def quote(self, text: str) -> None:
        """What a program said, as it said it."""
        for line in text.rstrip("\n").splitlines():
            self._print(f"   | {line}")

    def _print(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._colour else text

    def _green(self, text: str) -> str:
        return f"\033[32m{text}\033[0m" if self._colour else text

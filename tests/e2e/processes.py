"""Running the real programs: one-shot commands and background services, each ended by its own process id."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from tests.integration.loaded_programs import loaded_programs

#: Where `buckler`, `bucklerctl` and `buckler-server` of this installation are.
PROGRAMS = Path(sys.executable).parent
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Standard output, parsed.

        Raises:
            AssertionError: It is no JSON.
        """
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"{self.describe()}\nis no JSON: {error}") from error

    def expect(self, status: int = 0) -> Self:
        """Insist on an exit status, showing everything the command said otherwise.

        Raises:
            AssertionError: It ended with another one.
        """
        if self.status != status:
            raise AssertionError(f"expected exit status {status}\n{self.describe()}")
        return self

    def describe(self) -> str:
        """The command with all it said."""
        return f"$ {' '.join(self.command)}\nexit status {self.status}\n{self.stdout}{self.stderr}"


class Runner(Protocol):
    """Runs one of our programs to its end."""

    def __call__(
        self, program: str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> Finished: ...


def run(program: str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Finished:
    """Run one of our programs to its end."""
    command = (str(PROGRAMS / program), *arguments)
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=COMMAND_TIMEOUT_S,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Finished((program, *arguments), done.returncode, done.stdout, done.stderr)


def run_loaded(program: str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Finished:
    """The same in a process that had loaded the program before: for tests of what it does, not of how it starts."""
    ended = loaded_programs().run(
        program,
        arguments,
        stdin=stdin.encode(),
        environment={**os.environ, **(env or {})},
        timeout_s=COMMAND_TIMEOUT_S,
    )
    said = (text.decode(errors="surrogateescape") for text in (ended.stdout, ended.stderr))
    return Finished((program, *arguments), ended.status, *said)


class Service:
    """A program in the background whose standard error is kept line by line.

    Args:
        program: One of ours.
        arguments: Its arguments.
    """

    def __init__(self, program: str, arguments: Sequence[str]) -> None:
        self._command = (str(PROGRAMS / program), *arguments)
        self._lines: list[str] = []
        self._grown = threading.Condition()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it said so far."""
        with self._grown:
            return "\n".join(self._lines)

    def wait_for(self, pattern: str, timeout_s: float = 60.0) -> re.Match[str]:
        """Wait until a line matches.

        Raises:
            AssertionError: The program ended or the time was up before.
        """
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._grown:
            while True:
                for line in self._lines[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if left <= 0 or (self._process.poll() is not None and not self._reader.is_alive()):
                    text = "\n".join(self._lines)
                    raise AssertionError(f"no line matches {pattern!r} in\n$ {' '.join(self._command)}\n{text}")
                self._grown.wait(min(left, 0.2))

    def stop(self, timeout_s: float = 60.0) -> int:
        """End it politely; returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._ended(timeout_s)

    def kill(self) -> int:
        """End it as a power cut would."""
        if self._process.poll() is None:
            self._process.kill()
        return self._ended(10.0)

    def _ended(self, timeout_s: float) -> int:
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10.0)
            raise AssertionError(f"did not stop within {timeout_s} s: {self._command}\n{self.log}") from None
        self._reader.join(5.0)
        if self._process.stderr is not None:
            self._process.stderr.close()
        return status

    def _read(self) -> None:
        stream = self._process.stderr
        if stream is None:
            raise AssertionError("started with a pipe")
        with contextlib.suppress(ValueError):
            for line in stream:
                with self._grown:
                    self._lines.append(line.rstrip("\n"))
                    self._grown.notify_all()

"""Ctrl-C while a program is being loaded: it ends as it does later, with a status and without a traceback."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from agent.cli.start import buckler
from controlplane.cli.start import buckler_server, bucklerctl

INTERRUPTED = 130
#: Presses Ctrl-C when the first package that is not Python's own is looked for.
_PRESS = """
import signal, sys, importlib.abc

class Press(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Press())
"""
_PROGRAMS = {
    "buckler": "from agent.cli.start import buckler as program",
    "bucklerctl": "from controlplane.cli.start import bucklerctl as program",
    "buckler-server": "from controlplane.cli.start import buckler_server as program",
}


def start(program: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
    """Load a program while Ctrl-C is pressed, and have it print its help."""
    source = f"{before}{_PRESS}{_PROGRAMS[program]}; program()"
    return subprocess.run([sys.executable, "-c", source, "--help"], capture_output=True, check=False)


@pytest.mark.parametrize("program", _PROGRAMS)
def test_it_ends_as_interrupted_and_says_nothing(program: str) -> None:
    done = start(program)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, b"", b"")


@pytest.mark.parametrize("program", _PROGRAMS)
def test_where_ctrl_c_is_ignored_it_stays_so(program: str) -> None:
    done = start(program, "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Usage:" in done.stdout


@pytest.mark.parametrize(
    ("begin", "main"),
    [
        (buckler, "agent.cli.main.main"),
        (bucklerctl, "controlplane.cli.bucklerctl.main"),
        (buckler_server, "controlplane.cli.buckler_server.main"),
    ],
)
def test_a_loaded_program_hears_it_again(begin: Callable[[], None], main: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = []
    monkeypatch.setattr(main, lambda: handlers.append(signal.getsignal(signal.SIGINT)))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        begin()
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler]


@pytest.mark.parametrize("party", ["agent", "controlplane"])
def test_nothing_that_takes_long_is_imported_before_ctrl_c_is_answered(party: str) -> None:
    source = f"import sys; known = set(sys.modules); import {party}.cli.start; print(*set(sys.modules) - known)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True, text=True)
    ours = {party, f"{party}.cli", f"{party}.cli.interrupted", f"{party}.cli.start"}
    assert set(done.stdout.split()) == ours

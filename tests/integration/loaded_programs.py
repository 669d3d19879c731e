"""Commands of our programs without the second or two that loading them takes: loaded once, a child forked for each.

A child has arguments, environment, standard streams and an exit status of its own, and it ends as a program does; only
what modules do while they are imported has been done before. That the installed programs start from nothing is for
`tests/e2e/test_story.py` and for every service that a test starts.
"""

import atexit
import gc
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

#: Where each program begins.
PROGRAMS = {
    "buckler": "agent.cli.main",
    "bucklerctl": "controlplane.cli.bucklerctl",
    "buckler-server": "controlplane.cli.buckler_server",
}
#: What their commands import when they are called.
_LATE = (
    "agent.device",
    "agent.requests",
    "alembic.command",
    "controlplane.installation",
    "controlplane.serving",
)
_LENGTH_BYTES = 8
_STREAMS = 3


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit status, or minus the signal that killed it, and what it said."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class LoadedPrograms:
    """The test's end of the line; may be used by several threads at once."""

    channel: socket.socket
    #: At the other end; it ends when this one is closed, however that comes.
    process: "subprocess.Popen[bytes]"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, program: str, arguments: Sequence[str], *, stdin: bytes, environment: Mapping[str, str], timeout_s: float
    ) -> Ended:
        """Run a command to its end.

        Args:
            program: One of `PROGRAMS`.
            arguments: What follows its name.
            stdin: All that it can read.
            environment: All of its environment.
            timeout_s: After so many seconds it is killed.

        Raises:
            subprocess.TimeoutExpired: It was.
        """
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaint:
            given.write(stdin)
            given.seek(0)
            news, report = os.pipe()
            try:
                streams = (given.fileno(), said.fileno(), complaint.fileno())
                self._order([program, list(arguments), dict(environment), str(Path.cwd())], (*streams, report))
            finally:
                os.close(report)
            with open(news, "rb", buffering=0) as reading:  # noqa: PTH123 -- a descriptor, not a path
                status = _status(reading, (program, *arguments), timeout_s)
            said.seek(0)
            complaint.seek(0)
            return Ended(status, said.read(), complaint.read())

    def _order(self, order: object, descriptors: Sequence[int]) -> None:
        content = json.dumps(order).encode()
        with self.lock:
            socket.send_fds(self.channel, [len(content).to_bytes(_LENGTH_BYTES, "big")], list(descriptors))
            self.channel.sendall(content)


def _status(news: BinaryIO, command: tuple[str, ...], timeout_s: float) -> int:
    """Wait for the end that is reported: a line with the process, then one with its exit status."""
    deadline, pid = time.monotonic() + timeout_s, int(news.readline())
    if not select.select([news], [], [], max(0.0, deadline - time.monotonic()))[0]:
        os.kill(pid, 9)
        news.readline()
        raise subprocess.TimeoutExpired(command, timeout_s)
    return int(news.readline())


@cache
def loaded_programs() -> LoadedPrograms:
    """Those of this process, loaded when they are first wanted; they go when it ends."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.integration.loaded_programs", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    return LoadedPrograms(ours, process)


# ---------------------------------------------------------------- the other end of the line


def load() -> None:
    """Import everything, and spare the children from copying it because of the garbage collector."""
    for name in (*PROGRAMS.values(), *_LATE):
        import_module(name)
    gc.collect()
    gc.freeze()


def serve(channel: socket.socket) -> Callable[[], None]:
    """Have each order carried out.

    Returns:
        Only in a child, ready to be the program: the beginning of that.
    """
    while True:
        header, descriptors, _flags, _address = socket.recv_fds(channel, _LENGTH_BYTES, _STREAMS + 1)
        if not header:
            os._exit(0)
        content = channel.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL)
        if os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            _collect()
            continue
        channel.close()
        report = descriptors[_STREAMS]
        child = os.fork()
        if child:
            os.write(report, f"{child}\n".encode())
            _, status = os.waitpid(child, 0)
            os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os._exit(0)
        os.close(report)
        return _prepared(content, descriptors[:_STREAMS])


def _prepared(content: bytes, streams: Sequence[int]) -> Callable[[], None]:
    program, arguments, environment, folder = json.loads(content)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.argv = [program, *arguments]
    beginning: Callable[[], None] = import_module(PROGRAMS[program]).main
    return beginning


def _collect() -> None:
    """Ask for the ends of those who reported."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def end_as(program: Callable[[], None]) -> None:
    """Be the program, and end with its status; taking apart everything that is loaded would take longer than most."""
    status: object = 1
    try:
        program()
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 -- what an interpreter does with it
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    load()
    end_as(serve(socket.socket(fileno=int(sys.argv[1]))))

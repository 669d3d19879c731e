"""Whatever arrives in whatever order, each opener the kernel made wait is answered exactly once, and in time."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.platform.fanotify import EventMask, MarkFlag, MarkScope, Notice
from agent.realtime.sources import gate_process
from agent.realtime.sources.gate_process import AGENT_SILENT_S, MAX_HELD, Gatekeeper, GateRules
from agent.realtime.territory import Territory

HOLD_S = 2.0
AGENT, STRANGER = os.getpid(), 1


class FakeGroup:
    """A permission group that keeps books: what it handed out has to be answered once."""

    def __init__(self) -> None:
        self.unread: list[Notice] = []
        self.owed: dict[int, float] = {}
        self.answers: list[tuple[int, bool]] = []
        self.ignored = 0

    def fileno(self) -> int:
        return -1

    def read(self, size_bytes: int) -> list[Notice]:
        assert size_bytes > 0
        unread, self.unread = self.unread, []
        return unread

    def respond(self, descriptor: int, *, allow: bool) -> None:
        assert descriptor in self.owed, "answered twice, or never asked"
        del self.owed[descriptor]
        self.answers.append((descriptor, allow))

    def mark(self, path: str, mask: int, scope: MarkScope, flags: MarkFlag) -> None:
        raise OSError(path, mask, scope, flags)

    def mark_descriptor(self, descriptor: int, mask: int, flags: MarkFlag) -> None:
        assert mask
        os.fstat(descriptor)
        self.ignored += 1 if flags & MarkFlag.ADD else -1

    def flush_inode_marks(self) -> None:
        self.ignored = 0


class GatekeeperMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.now = 100.0
        self.group = FakeGroup()
        self.agent, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.agent.settimeout(0)
        self.channel = theirs
        root = os.path.realpath(self.folder.name)
        watched = Territory([root], [f"{root}/excluded"])
        self.fail_open = True
        rules = GateRules(watched, watched, HOLD_S, self.fail_open, AGENT)
        self.gate = Gatekeeper(theirs, self.group, rules, lambda: self.now)
        self.tokens: list[int] = []
        self.closed = False

    # ------------------------------------------------------------ what may happen

    @precondition(lambda self: not self.closed)
    @rule(
        name=st.sampled_from(["a", "b", "excluded/c", "empty"]),
        pid=st.sampled_from([AGENT, STRANGER]),
        mask=st.sampled_from([EventMask.OPEN_PERM, EventMask.OPEN_EXEC_PERM]),
        count=st.sampled_from([1, 1, 1, 3, MAX_HELD]),
    )
    def files_are_opened(self, name: str, pid: int, mask: int, count: int) -> None:
        path = Path(self.folder.name, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"" if name == "empty" else b"x")
        for _ in range(count):
            descriptor = os.open(path, os.O_RDONLY)
            self.group.owed[descriptor] = self.now
            self.group.unread.append(Notice(mask, descriptor, pid, None))
        self.turn(self.group)
        if pid == AGENT or name in {"excluded/c", "empty"}:
            assert not any(fd for fd, since in self.group.owed.items() if since == self.now and fd not in self.held())

    @precondition(lambda self: not self.closed)
    @rule(data=st.data(), allow=st.booleans())
    def the_agent_answers_something(self, data: st.DataObject, *, allow: bool) -> None:
        """Known tokens, again or for the first time, and tokens nobody ever had."""
        self.hear()
        token = data.draw(st.sampled_from([*self.tokens[-5:], 0, 10**9]))
        held = self.gate_holds(token)
        self.tell({"do": "answer", "token": token, "allow": allow})
        if held is not None:
            assert (held, allow) in self.group.answers[-1:]

    @precondition(lambda self: not self.closed)
    @rule()
    def the_agent_is_heard_of(self) -> None:
        self.hear()
        self.tell({"do": "ping", "pids": []})

    @precondition(lambda self: not self.closed)
    @rule(order=st.sampled_from([{"do": "forget"}, {"do": "folder", "path": "/x"}, {"do": "dance"}, {"do": "answer"}]))
    def the_agent_says_something_else(self, order: dict[str, object]) -> None:
        self.tell(order)

    @precondition(lambda self: not self.closed)
    @rule()
    def a_clean_file_is_to_be_remembered(self) -> None:
        path = Path(self.folder.name, "a")
        path.write_bytes(b"x")
        status = path.stat()
        version = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        with path.open("rb") as stream:
            order = json.dumps({"do": "remember", "version": version}).encode()
            socket.send_fds(self.agent, [order], [stream.fileno()])
            self.turn(self.channel)

    @precondition(lambda self: not self.closed)
    @rule(seconds=st.sampled_from([0.1, 1.0, HOLD_S, AGENT_SILENT_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.turn()

    @precondition(lambda self: not self.closed)
    @rule()
    def the_agent_goes(self) -> None:
        self.agent.close()
        self.closed = True
        assert not self.gate._turn({self.channel})

    @precondition(lambda self: self.closed)
    @rule()
    def nothing_happens_after_the_end(self) -> None:
        assert self.channel.fileno() >= 0

    # ------------------------------------------------------------ what always holds

    @invariant()
    def nobody_waits_longer_than_allowed(self) -> None:
        assert all(self.now - since < HOLD_S for since in self.group.owed.values())
        assert len(self.group.owed) <= MAX_HELD

    @invariant()
    def who_waits_is_known_and_nobody_else(self) -> None:
        assert set(self.group.owed) == self.held()

    def teardown(self) -> None:
        """The process ends: what it holds is exactly what the kernel lets go then."""
        assert set(self.group.owed) == self.held()
        for descriptor in self.group.owed:
            os.close(descriptor)
        self.agent.close()
        self.channel.close()
        self.folder.cleanup()

    # ------------------------------------------------------------ hands

    def held(self) -> set[int]:
        return {descriptor for descriptor, _ in self.gate._held.values()}

    def gate_holds(self, token: int) -> int | None:
        return self.gate._held.get(token, (None, 0.0))[0]

    def turn(self, *ready: object) -> None:
        assert self.gate._turn(set(ready))

    def tell(self, order: dict[str, object]) -> None:
        self.agent.send(json.dumps(order).encode())
        self.turn(self.channel)

    def hear(self) -> None:
        with suppress(BlockingIOError), _no_leaks() as descriptors:
            while True:
                message, received, _, _ = socket.recv_fds(self.agent, 1 << 17, 1)
                descriptors.extend(received)
                told = json.loads(message)
                if told["is"] == "opening":
                    self.tokens.append(told["token"])


@contextmanager
def _no_leaks() -> Iterator[list[int]]:
    descriptors: list[int] = []
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


GatekeeperMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestGatekeeper = GatekeeperMachine.TestCase


def test_the_process_that_holds_openers_carries_no_more_than_it_needs() -> None:
    """It answers in microseconds and costs memory on every machine: no data classes, no framework, no event loop."""
    source = Path(gate_process.__file__).read_text("utf-8")
    assert not {"dataclasses", "asyncio", "structlog"} & set(source.split())

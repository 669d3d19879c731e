"""Anything may arrive in any order; what the pipeline promises holds all the same."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.files import EventKind, EventsLost, FileEvent, FileIdentity, FolderAppeared, RootLost, SourceDied
from agent.domain.policy import Action, Policy
from agent.realtime.commands import (
    Answer,
    ArmDeadline,
    Capture,
    CaptureFinished,
    Command,
    DeadlineReached,
    Input,
    JobAborted,
    NotThere,
    Reconcile,
    Record,
    Release,
    Reopen,
    Rest,
    Rested,
    Scan,
    ScanFinished,
    Stopping,
)
from agent.realtime.pipeline import MAX_LOOKS, REST_AT_MOST_S, REST_FROM_MS, Pipeline, PipelineLimits
from tests.fakes.clock import SOME_MONDAY

SLOTS, DESCRIPTORS, PARKED, AHEAD = 2, 4, 3, 1
INODES = st.integers(1, 6)
NAMES = st.sampled_from(["/r/a", "/r/b.exe", "/r/Downloads/c", "/r/skipped/d"])
KINDS = st.sampled_from([EventKind.CLOSED_AFTER_WRITE, EventKind.APPEARED, EventKind.RECONCILED])
POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(on_infected=Action.REPORT),
        Policy(exclusions=(Exclusion("exc_1", ExclusionKind.PATH, "/r/skipped", "", SOME_MONDAY),)),
    ]
)
FOUND = (Finding("EICAR", "test", Severity.HIGH),)
FACTS = st.sampled_from(
    [
        ScanFacts("aa", 1),
        ScanFacts("bb", 1, findings=FOUND),
        ScanFacts("cc", 1, findings=(Finding("odd", "test", Severity.INFO),)),
        ScanFacts("dd", 1, incomplete=(Incomplete("max_depth", 3),)),
        ScanFacts("", 0, incomplete=(Incomplete("worker_crashed"),)),
        ScanFacts("", 0, error="unreadable"),
        ScanFacts("", 0, error="scanner_unavailable"),
        ScanFacts("ee", 1, elapsed_ms=10 * REST_FROM_MS),
    ]
)


@dataclass
class Owed:
    """A finished write that has to be looked at from now on, or accounted for."""

    inode: int
    path: str


@dataclass
class Ledger:
    """What went in and what came out."""

    held: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    scanning: dict[int, Scan] = field(default_factory=dict)
    capturing: dict[int, Capture] = field(default_factory=dict)
    #: Descriptor to inode, for ever.
    inodes: dict[int, int] = field(default_factory=dict)
    owed: list[Owed] = field(default_factory=list)
    reopen: list[Reopen] = field(default_factory=list)
    #: Inode to the path under which it was costly.
    resting: dict[int, str] = field(default_factory=dict)
    #: Jobs over which a worker ended.
    given_again: set[int] = field(default_factory=set)


class PipelineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline(PipelineLimits(SLOTS, DESCRIPTORS, PARKED, ahead=AHEAD))
        self.policy = Policy()
        self.ledger = Ledger()
        self.numbers = 100
        self.versions: dict[int, int] = {}
        self.looked_at = ""

    # ------------------------------------------------------------ what may happen

    @rule(policy=POLICIES)
    def somebody_changes_the_policy(self, policy: Policy) -> None:
        self.policy = policy

    @rule(inode=INODES, name=NAMES, kind=KINDS, clock_moved=st.booleans())
    def a_file_is_seen(self, inode: int, name: str, kind: EventKind, *, clock_moved: bool) -> None:
        if kind is EventKind.CLOSED_AFTER_WRITE and clock_moved:
            self.versions[inode] = self.versions.get(inode, 0) + 1
        self.file(inode, name, kind, None)

    @rule(inode=INODES, name=NAMES)
    def somebody_opens_a_file(self, inode: int, name: str) -> None:
        self.numbers += 1
        self.ledger.waiting.add(self.numbers)
        self.file(inode, name, EventKind.OPENING, self.numbers)

    @precondition(lambda self: self.ledger.scanning)
    @rule(data=st.data(), facts=FACTS, changed=st.booleans())
    def a_scan_comes_back(self, data: st.DataObject, facts: ScanFacts, *, changed: bool) -> None:
        job = data.draw(st.sampled_from(sorted(self.ledger.scanning)))
        scan = self.ledger.scanning.pop(job)
        self.looked_at = scan.path
        inode = self.ledger.inodes[scan.descriptor]
        # An excluded path makes it clean, whatever its worker came to.
        given_again = facts.worker_ended and job not in self.ledger.given_again and not self.policy.exclusions
        if (facts.nobody_looked or given_again) and not self.pipeline.is_planted(device=1, inode=inode):
            self.ledger.owed.append(Owed(inode, scan.path))
        if facts.worker_ended:
            self.ledger.given_again.add(job)
        self.send(ScanFinished(job, facts, self.identity(inode), changed))

    @precondition(lambda self: self.ledger.capturing)
    @rule(data=st.data(), changed=st.booleans())
    def the_vault_is_done(self, data: st.DataObject, *, changed: bool) -> None:
        job = data.draw(st.sampled_from(sorted(self.ledger.capturing)))
        capture = self.ledger.capturing.pop(job)
        taken = frozenset(data.draw(st.sets(st.sampled_from(capture.paths))))
        inode = self.ledger.inodes[capture.descriptor]
        self.ledger.owed = [o for o in self.ledger.owed if not (o.inode == inode and o.path in taken)]
        self.send(CaptureFinished(job, taken, changed))

    @precondition(lambda self: self.ledger.scanning or self.ledger.capturing)
    @rule(data=st.data())
    def a_task_breaks(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted([*self.ledger.scanning, *self.ledger.capturing])))
        self.ledger.scanning.pop(job, None)
        self.ledger.capturing.pop(job, None)
        assert any(isinstance(command, Reconcile) for command in self.send(JobAborted(job)))

    @rule(token=st.integers(100, 200))
    def a_deadline_passes(self, token: int) -> None:
        self.send(DeadlineReached(token))

    @rule(
        event=st.sampled_from(
            [EventsLost("x", "y"), SourceDied("x", "y"), RootLost("/r", "y"), FolderAppeared("/r/f"), NotThere("/r/z")]
        )
    )
    def the_source_has_news(self, event: Input) -> None:
        self.send(event)

    @rule(inode=INODES)
    def a_self_test_is_planted_or_uprooted(self, inode: int) -> None:
        if inode % 2:
            self.pipeline.plant("/r/test", device=1, inode=inode)
        else:
            self.pipeline.uproot(device=1, inode=inode)

    @precondition(lambda self: self.ledger.resting)
    @rule(data=st.data())
    def a_file_has_rested(self, data: st.DataObject) -> None:
        self.rested(data.draw(st.sampled_from(sorted(self.ledger.resting))))

    @rule()
    def parked_files_are_opened_again(self) -> None:
        reopen, self.ledger.reopen = self.ledger.reopen, []
        for command in reopen:
            self.file(int(command.path == "/r/a") + 1, command.path, command.kind, None)

    # ------------------------------------------------------------ what always holds

    @invariant()
    def one_file_is_worked_on_once_at_a_time_and_within_the_slots(self) -> None:
        working: list[Scan | Capture] = [*self.ledger.scanning.values(), *self.ledger.capturing.values()]
        inodes = [self.ledger.inodes[command.descriptor] for command in working]
        assert len(inodes) == len(set(inodes))
        assert len(self.ledger.scanning) <= SLOTS * (1 + AHEAD)

    @invariant()
    def what_is_held_is_bounded(self) -> None:
        working = len(self.ledger.scanning) + len(self.ledger.capturing)
        assert len(self.ledger.held) <= DESCRIPTORS + working
        assert self.pipeline.depth <= DESCRIPTORS + working + PARKED

    @rule()
    def everything_comes_to_rest(self) -> None:
        """Asked often: later events of the same file would hide one that was forgotten."""
        for _ in range(1000):
            if not (self.ledger.scanning or self.ledger.capturing or self.ledger.reopen or self.ledger.resting):
                break
            for inode in list(self.ledger.resting):
                self.rested(inode)
            for job in list(self.ledger.capturing):
                self.ledger.capturing.pop(job)
                self.send(CaptureFinished(job, frozenset(), changed=False))
            for job, scan in list(self.ledger.scanning.items()):
                del self.ledger.scanning[job]
                inode = self.ledger.inodes[scan.descriptor]
                self.send(ScanFinished(job, ScanFacts("aa", 1), self.identity(inode), changed=False))
            self.ledger.reopen, gone = [], self.ledger.reopen
            for command in gone:
                self.send(NotThere(command.path))
        assert self.pipeline.idle
        assert self.ledger.owed == []
        assert self.ledger.held == set()
        assert self.ledger.waiting == set()

    def teardown(self) -> None:
        """Stop in the middle of whatever is going on; what is being worked on comes to its end afterwards."""
        self.send(Stopping())
        assert self.ledger.waiting == set()
        for job in [*self.ledger.scanning, *self.ledger.capturing]:
            self.ledger.scanning.pop(job, None)
            self.ledger.capturing.pop(job, None)
            self.send(JobAborted(job))
        assert self.ledger.held == set()

    # ------------------------------------------------------------ bookkeeping

    def identity(self, inode: int) -> FileIdentity:
        return FileIdentity(1, inode, 1, self.versions.get(inode, 0), self.versions.get(inode, 0))

    def file(self, inode: int, path: str, kind: EventKind, token: int | None) -> None:
        self.numbers += 1
        descriptor = self.numbers
        self.ledger.held.add(descriptor)
        self.ledger.inodes[descriptor] = inode
        excluded = path.startswith("/r/skipped") and bool(self.policy.exclusions)
        if kind is EventKind.CLOSED_AFTER_WRITE and not excluded:
            self.ledger.owed.append(Owed(inode, path))
        commands = self.send(FileEvent(self.identity(inode), path, descriptor, 1, kind, token, 0))
        if any(isinstance(command, Reconcile) for command in commands):
            self.ledger.owed = [owed for owed in self.ledger.owed if owed != Owed(inode, path)]

    def rested(self, inode: int) -> None:
        del self.ledger.resting[inode]
        self.send(Rested(1, inode))

    def send(self, event: Input) -> list[Command]:
        commands = self.pipeline.handle(event, self.policy, SOME_MONDAY)
        for command in commands:
            self.check(command)
        return commands

    def check(self, command: Command) -> None:
        ledger = self.ledger
        match command:
            case Release(descriptor):
                assert descriptor in ledger.held, "released twice, or never given"
                working = {c.descriptor for c in ledger.scanning.values()} | {
                    c.descriptor for c in ledger.capturing.values()
                }
                assert descriptor not in working, "released while somebody works on it"
                ledger.held.discard(descriptor)
            case Answer(token):
                assert token in ledger.waiting, "answered twice, or never asked"
                ledger.waiting.discard(token)
            case ArmDeadline(token):
                assert token in ledger.waiting
            case Scan(job, descriptor):
                assert descriptor in ledger.held
                assert job not in ledger.scanning
                ledger.scanning[job] = command
                inode = ledger.inodes[descriptor]
                rests = ledger.resting.get(inode) == command.path
                assert not rests or ledger.waiting, "nobody is held, and it has not rested"
                ledger.owed = [owed for owed in ledger.owed if owed.inode != inode]
            case Capture(job, descriptor):
                assert descriptor in ledger.held
                ledger.capturing[job] = command
            case Record():
                assert not command.blocked or command.findings
            case Rest(_, inode, seconds):
                assert inode not in ledger.resting, "two timers for one file"
                assert 0 < seconds <= REST_AT_MOST_S
                ledger.resting[inode] = self.looked_at
            case Reopen(path):
                ledger.reopen.append(command)
                ledger.owed = [owed for owed in ledger.owed if owed.path != path]
            case _:
                pass


PipelineMachine.TestCase.settings = settings(max_examples=600, stateful_step_count=40)
TestPipeline = PipelineMachine.TestCase


def test_a_file_that_changes_under_every_look_is_let_go_after_a_few() -> None:
    pipeline, looks = Pipeline(PipelineLimits()), 0
    identity = FileIdentity(1, 1, 1, 1, 1)
    commands = pipeline.handle(
        FileEvent(identity, "/r/a", 7, 1, EventKind.CLOSED_AFTER_WRITE, None, 0), Policy(), SOME_MONDAY
    )
    while any(isinstance(command, Scan) for command in commands):
        looks += 1
        commands = pipeline.handle(ScanFinished(1, ScanFacts("aa", 1), identity, changed=True), Policy(), SOME_MONDAY)
    assert looks == MAX_LOOKS
    assert commands == [Release(7)]

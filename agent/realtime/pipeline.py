"""The course of a file event from its arrival to its end, as pure code: events in, commands out.

Rule 1: every transition of a file between "seen" and "done with" is in this file. No I/O, no clock, no threads.

What always holds (`tests/property/test_pipeline.py` tries to break it):

* every descriptor that comes in is released exactly once, and never while somebody works on it;
* every token that comes in is answered exactly once;
* one file is never worked on twice at the same time; an event that arrives meanwhile leads to exactly one new look,
  however many of them arrive;
* an event that cannot be kept turns into a `Reconcile`, never into nothing.

A file is known by device and inode while we hold a descriptor to it, because only then nobody else can get that inode.
Its life is `QUEUED → SCANNING → done`, or `→ CAPTURING → done` when it is infected. A file whose look took long rests
before the next one, so that a log that is written all day costs a fifth of a worker at most and is still seen when it
falls quiet; an opener who is held ends its rest. A file that the scanner could not look at rests, too, and comes again;
so does one over which a worker ended, once.
When more files wait than descriptors may be held, the rest is *parked*: its descriptor is released, its path kept, and
it is opened again later. When even that is full, a reconciliation is owed.
"""

import heapq
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from itertools import islice

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.files import (
    EventKind,
    EventsLost,
    FileEvent,
    FileIdentity,
    FolderAppeared,
    RootLost,
    SourceDied,
)
from agent.domain.incident import Origin
from agent.domain.policy import Action, Decision, Policy, Verdict, decide
from agent.realtime.commands import (
    Answer,
    ArmDeadline,
    Capture,
    CaptureFinished,
    Command,
    DeadlineReached,
    Input,
    JobAborted,
    MarkRootLost,
    NotThere,
    Reconcile,
    Record,
    Release,
    Remember,
    Reopen,
    Rest,
    RestartSource,
    Rested,
    Scan,
    ScanFinished,
    SelfTestSeen,
    Stopping,
    Walk,
)

#: A file that changes under each look is looked at this often; after that its next event has to bring it back.
MAX_LOOKS = 4
#: A look that took longer than this makes its file rest, this many times as long as the look took; milliseconds.
REST_FROM_MS = 50.0
REST_FACTOR = 4
#: No file rests longer than this, in seconds.
REST_AT_MOST_S = 60.0
#: A file that the scanner could not even begin to look at is handed to it again after this long, in seconds.
ASK_AGAIN_AFTER_S = 5.0
#: Names remembered per file while it is worked on; hard links beyond that are found by their own events.
MAX_PATHS = 16

_RISKY_SUFFIXES = (
    ".apk", ".app", ".bat", ".bin", ".cmd", ".com", ".deb", ".dll", ".docm", ".elf", ".exe", ".hta", ".iso", ".jar",
    ".js", ".lnk", ".msi", ".pif", ".pl", ".ps1", ".py", ".rpm", ".run", ".scr", ".sh", ".so", ".vbs", ".wsf",
    ".xlsm", ".zip",
)  # fmt: skip
_RISKY_FOLDERS = ("/downloads/", "/download/", "/desktop/")


class Lane(IntEnum):
    """Who goes first."""

    #: Somebody is held until the verdict.
    WAITED_FOR = 0
    #: Runs when clicked, or has just been downloaded.
    RISKY = 1
    ORDINARY = 2
    #: Found by a walk; it has been there for a while already.
    RECONCILED = 3


class Stage(Enum):
    """Where a file is."""

    QUEUED = "queued"
    SCANNING = "scanning"
    CAPTURING = "capturing"
    #: Somebody works on an older version of the same file.
    NEXT = "next"
    #: The last look was costly, or could not be taken, and that is not long ago.
    RESTING = "resting"


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How much is kept at a time.

    Attributes:
        slots: Scans at the same time; the scanner's number of workers.
        ahead: Files that each of them may have at hand behind the one it scans, while nobody is held.
        descriptors: Open files waiting or being worked on.
        parked: Paths waiting for room.
        fail_open: What an opener gets when there is no verdict in time. **The** setting; it is read at one line.
    """

    slots: int = 2
    descriptors: int = 512
    parked: int = 65536
    fail_open: bool = True
    ahead: int = 0


@dataclass(slots=True)
class _Job:
    number: int
    descriptor: int
    identity: FileIdentity
    paths: list[str]
    kind: EventKind
    lane: Lane
    seen_at_ns: int
    stage: Stage
    pid: int = 0
    tokens: list[int] = field(default_factory=list)
    successor: "_Job | None" = None
    looks: int = 0
    #: Its worker ended over it, and another one was given it.
    given_again: bool = False
    infected: bool = False


_Key = tuple[int, int]


class Pipeline:
    """See the module."""

    def __init__(self, limits: PipelineLimits) -> None:
        self._limits = limits
        self._numbers = 0
        #: The job in charge of each file: queued, or being worked on.
        self._current: dict[_Key, _Job] = {}
        self._working: dict[int, _Job] = {}
        self._queue: list[tuple[Lane, int, _Job]] = []
        self._parked: dict[str, EventKind] = {}
        self._held = 0
        self._scanning = 0
        self._waiting: dict[int, _Job] = {}
        self._planted: dict[_Key, str] = {}
        self._uprooted: set[_Key] = set()
        #: Names under which each was looked at: a new file may have got the inode of one that is gone.
        self._resting: dict[_Key, frozenset[str]] = {}
        self._path_exclusions: tuple[Policy, tuple[Exclusion, ...]] | None = None
        self._stopping = False
        self._out: list[Command] = []
        self.events_lost = 0
        self.incomplete = 0

    # ------------------------------------------------------------ what others may know

    @property
    def depth(self) -> int:
        """Files that wait or are being worked on."""
        return self._held + len(self._parked)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is being worked on; one that is stopping has let go of what did."""
        return not (self._current or self._parked or self._stopping)

    @property
    def reconciling(self) -> bool:
        """Whether files that a walk found still wait or are being worked on."""
        found = EventKind.RECONCILED
        return any(job.kind is found for job in self._current.values()) or found in self._parked.values()

    def has_room(self) -> bool:
        """Whether a walk should hand in more files now: it may use half of the descriptors."""
        return not self._parked and self._held * 2 < self._limits.descriptors

    def plant(self, path: str, *, device: int, inode: int) -> None:
        """From now on this file is a self-test: never a detection, never taken."""
        self._planted[device, inode] = path

    def is_planted(self, *, device: int, inode: int) -> bool:
        """Whether a file is a self-test."""
        return (device, inode) in self._planted

    def uproot(self, *, device: int, inode: int) -> None:
        """The self-test file is gone; once its descriptor is released its inode may belong to anybody."""
        if (device, inode) in self._current:
            self._uprooted.add((device, inode))
        else:
            self._planted.pop((device, inode), None)

    # ------------------------------------------------------------ the machine

    def handle(self, event: Input, policy: Policy, now: datetime) -> list[Command]:
        """Take one event and return what is to be done, in this order.

        Args:
            event: From the source or from the runner.
            policy: In force for everything decided during this call.
            now: Judges the expiry of exclusions; timezone-aware.

        Raises:
            RuntimeError: A job is reported that nobody works on; a programming error.
        """
        self._out = []
        match event:
            case FileEvent():
                self._arrive(event, policy, now)
            case ScanFinished():
                self._scanned(event, policy, now)
            case CaptureFinished():
                self._captured(event)
            case JobAborted():
                self._aborted(self._take_working(event.job))
            case DeadlineReached():
                self._deadline(event.token)
            case Rested():
                self._rested((event.device, event.inode))
            case Stopping():
                self._stop()
            case NotThere():
                pass  # only makes room, which `_fill` sees
            case FolderAppeared() | EventsLost() | SourceDied() | RootLost():
                self._hear(event)
        self._fill()
        return self._out

    def _hear(self, news: FolderAppeared | EventsLost | SourceDied | RootLost) -> None:
        match news:
            case FolderAppeared():
                self._out.append(Walk(news.path))
            case EventsLost():
                self._lose(news.reason)
            case SourceDied():
                self._out.append(RestartSource(news.reason))
                self._lose(f"the source died: {news.reason}")
            case RootLost():
                self._out.append(MarkRootLost(news.root, news.reason))

    def _arrive(self, event: FileEvent, policy: Policy, now: datetime) -> None:
        key = (event.identity.device, event.identity.inode)
        if self._stopping or (not self._is_planted(event) and self._excluded(event.path, policy, now)):
            self._drop(event, allow=True)
            return
        current = self._current.get(key)
        if current is None:
            self._enqueue_new(key, event)
        elif current.stage in {Stage.QUEUED, Stage.RESTING}:
            self._merge(current, event)
        elif current.stage is Stage.CAPTURING and current.infected and event.kind is EventKind.OPENING:
            self._drop(event, allow=False)
        elif current.successor is not None:
            self._merge(current.successor, event)
        elif current.stage is Stage.SCANNING and _same_look_will_do(current, event):
            self._merge(current, event)
        else:
            current.successor = self._job(event, Stage.NEXT)

    def _enqueue_new(self, key: _Key, event: FileEvent) -> None:
        if self._held >= self._limits.descriptors:
            self._park(event)
            return
        job = self._job(event, Stage.QUEUED)
        self._current[key] = job
        self._queue_or_rest(job)

    def _job(self, event: FileEvent, stage: Stage) -> _Job:
        self._numbers += 1
        job = _Job(
            number=self._numbers,
            descriptor=event.descriptor,
            identity=event.identity,
            paths=[event.path],
            kind=event.kind,
            lane=lane_of(event) if not self._is_planted(event) else Lane.WAITED_FOR,
            seen_at_ns=event.seen_at_ns,
            stage=stage,
            pid=event.pid,
        )
        self._held += 1
        self._wait(job, event.token)
        return job

    def _merge(self, job: _Job, event: FileEvent) -> None:
        """One look answers both events. The older descriptor serves: it points to the same file."""
        self._out.append(Release(event.descriptor))
        if event.path in job.paths:
            job.paths.remove(event.path)
        job.paths.append(event.path)
        if len(job.paths) > MAX_PATHS:
            del job.paths[0]
        if job.kind is EventKind.RECONCILED:
            job.kind = event.kind
        if job.stage is not Stage.SCANNING:
            job.identity = event.identity
        self._wait(job, event.token)
        lane = lane_of(event)
        if lane < job.lane:
            job.lane = lane
            if job.stage is Stage.QUEUED:
                self._push(job)  # its older, less urgent place in the queue is skipped when its turn comes
        if job.stage is Stage.RESTING and job.tokens:
            self._queue_or_rest(job)

    def _wait(self, job: _Job, token: int | None) -> None:
        if token is not None:
            job.tokens.append(token)
            self._waiting[token] = job
            self._out.append(ArmDeadline(token))

    def _park(self, event: FileEvent) -> None:
        if event.path in self._parked or len(self._parked) < self._limits.parked:
            self._parked.setdefault(event.path, event.kind)
        else:
            self._lose("more files changed than can be remembered")
        self._out.append(Release(event.descriptor))
        if event.token is not None:
            self._answer_unknown(event.token)

    def _queue_or_rest(self, job: _Job) -> None:
        names = self._resting.get((job.identity.device, job.identity.inode), frozenset())
        resting = job.paths[-1] in names and not job.tokens
        job.stage = Stage.RESTING if resting else Stage.QUEUED
        if not resting:
            self._push(job)

    def _rested(self, key: _Key) -> None:
        self._resting.pop(key, None)
        job = self._current.get(key)
        if job is not None and job.stage is Stage.RESTING:
            self._queue_or_rest(job)

    def _tire(self, job: _Job, took_ms: float) -> None:
        key = (job.identity.device, job.identity.inode)
        if took_ms < REST_FROM_MS or key in self._resting or self._stopping:
            return
        self._rest(job, min(took_ms / 1000 * REST_FACTOR, REST_AT_MOST_S))

    def _put_off(self, job: _Job) -> None:
        """The scanner is away, and the file stays: what is not done with is told, and found again after a crash."""
        for token in list(job.tokens):
            self._answer_unknown(token)
        job.looks -= 1
        self._rest(job, ASK_AGAIN_AFTER_S)
        self._look_again(job)

    def _rest(self, job: _Job, seconds: float) -> None:
        key = (job.identity.device, job.identity.inode)
        names = self._resting.get(key)
        self._resting[key] = (names or frozenset()).union(job.paths)
        if names is None:
            self._out.append(Rest(*key, seconds))

    def _push(self, job: _Job) -> None:
        heapq.heappush(self._queue, (job.lane, job.number, job))

    def _fill(self) -> None:
        """Start scans while there are free slots, and bring parked files back while there is room."""
        while self._queue and self._scanning < self._most_scanning():
            lane, _, job = heapq.heappop(self._queue)
            if job.stage is not Stage.QUEUED or lane is not job.lane:
                continue
            job.stage = Stage.SCANNING
            self._scanning += 1
            job.looks += 1
            self._working[job.number] = job
            self._out.append(Scan(job.number, job.descriptor, job.paths[-1], job.seen_at_ns, job.pid, job.kind))
        room = self._limits.descriptors // 2 - self._held
        for path in list(islice(self._parked, max(0, min(room, self._limits.slots * (1 + self._limits.ahead))))):
            self._out.append(Reopen(path, self._parked.pop(path)))

    def _most_scanning(self) -> int:
        """Who is held must not find every worker with files at hand that nobody waits for."""
        ahead = 0 if self._waiting else self._limits.ahead
        return self._limits.slots * (1 + ahead)

    def _scanned(self, event: ScanFinished, policy: Policy, now: datetime) -> None:
        job = self._take_working(event.job)
        planted = self._planted.get((job.identity.device, job.identity.inode))
        if planted is not None:
            found = any(finding.severity.is_malicious for finding in event.facts.findings)
            self._out.append(SelfTestSeen(planted, found, job.kind))
            self._answer_all(job, allow=True)
            self._finish(job)
            return
        job.identity = event.identity
        if event.facts.nobody_looked and not self._stopping:
            self._put_off(job)
            return
        verdict = decide(event.facts, job.paths[-1], policy, now)
        ended_early = verdict.decision is Decision.INCOMPLETE and event.facts.worker_ended
        if ended_early and not job.given_again and not self._stopping:
            job.given_again = True
            self._rest(job, ASK_AGAIN_AFTER_S)
            self._look_again(job)
            return
        self._tire(job, event.facts.elapsed_ms)
        if verdict.decision is not Decision.INFECTED and event.changed and job.looks < MAX_LOOKS:
            self._look_again(job)
            return
        self._act(job, event, verdict)

    def _act(self, job: _Job, event: ScanFinished, verdict: Verdict) -> None:
        infected = verdict.decision is Decision.INFECTED
        self.incomplete += verdict.decision is Decision.INCOMPLETE
        waited_for = bool(job.tokens)
        self._answer_all(job, allow=not infected)
        path, origin = job.paths[-1], _origin(job.kind)
        if verdict.action is Action.QUARANTINE and not self._stopping:
            job.stage, job.infected = Stage.CAPTURING, True
            self._working[job.number] = job
            paths = tuple(job.paths)
            self._out.append(
                Capture(job.number, job.descriptor, paths, event.identity, event.facts, verdict.findings, origin)
            )
            return
        if verdict.action is not Action.NONE and not self._stopping:
            blocked = infected and waited_for
            self._out.append(Record(path, event.identity, event.facts, verdict.findings, origin, blocked))
        clean = verdict.decision is Decision.CLEAN and verdict.action is Action.NONE
        if clean and not event.changed and not event.outdated:
            self._out.append(Remember(job.descriptor, event.identity))
        self._finish(job)

    def _captured(self, event: CaptureFinished) -> None:
        job = self._take_working(event.job)
        successor = job.successor
        if successor is not None and event.taken and event.taken.issuperset(successor.paths):
            # What it announced is in the vault already; whoever waits for it waits for an infected file.
            self._answer_all(successor, allow=False)
            self._release(successor)
            job.successor = None
        if event.changed and not self._stopping:
            left = [path for path in job.paths if path not in event.taken]
            if job.successor is not None:
                # It may not know the names that were not taken because of the change.
                _add_names(job.successor, left)
            elif job.looks < MAX_LOOKS:
                job.paths = left or job.paths
                self._look_again(job)
                return
        self._finish(job)

    def _look_again(self, job: _Job) -> None:
        job.infected = False
        if self._stopping:
            self._answer_all(job, allow=True)
            self._finish(job)
            return
        if job.successor is not None:
            # Somebody reported the change meanwhile: that is the new look.
            for token in job.tokens:
                self._waiting[token] = job.successor
            job.successor.tokens += job.tokens
            job.tokens = []
            _add_names(job.successor, job.paths)
            self._finish(job)
            return
        self._queue_or_rest(job)

    def _aborted(self, job: _Job) -> None:
        for token in list(job.tokens):
            self._answer_unknown(token)
        if not self._stopping:
            self._lose("a file could not be worked on to its end")
        self._finish(job)

    def _finish(self, job: _Job) -> None:
        """The end of a job: its descriptor goes, and what was seen meanwhile takes its place."""
        assert not job.tokens, "a job must not end while somebody waits for its verdict"
        key = (job.identity.device, job.identity.inode)
        self._release(job)
        successor = job.successor
        if successor is None:
            self._current.pop(key, None)
            if key in self._uprooted:
                self._uprooted.discard(key)
                self._planted.pop(key, None)
            return
        self._current[key] = successor
        self._queue_or_rest(successor)

    def _deadline(self, token: int) -> None:
        if token in self._waiting:
            self._answer_unknown(token)

    def _stop(self) -> None:
        self._stopping = True
        self._parked.clear()
        self._queue.clear()
        for key, job in list(self._current.items()):
            self._answer_all(job, allow=True)
            if job.successor is not None:
                self._answer_all(job.successor, allow=True)
                self._release(job.successor)
                job.successor = None
            if job.stage in {Stage.QUEUED, Stage.RESTING}:
                self._release(job)
                del self._current[key]

    # ------------------------------------------------------------ small parts

    def _lose(self, reason: str) -> None:
        self.events_lost += 1
        self._out.append(Reconcile(reason))

    def _drop(self, event: FileEvent, *, allow: bool) -> None:
        if event.token is not None:
            self._out.append(Answer(event.token, allow=allow))
        self._out.append(Release(event.descriptor))

    def _release(self, job: _Job) -> None:
        self._held -= 1
        self._out.append(Release(job.descriptor))

    def _answer_all(self, job: _Job, *, allow: bool) -> None:
        for token in job.tokens:
            del self._waiting[token]
            self._out.append(Answer(token, allow=allow))
        job.tokens = []

    def _answer_unknown(self, token: int) -> None:
        job = self._waiting.pop(token, None)
        if job is not None:
            job.tokens.remove(token)
        self._out.append(Answer(token, allow=self._limits.fail_open))  # the one line: fail-open or fail-closed

    def _is_planted(self, event: FileEvent) -> bool:
        return (event.identity.device, event.identity.inode) in self._planted

    def _take_working(self, number: int) -> _Job:
        job = self._working.pop(number, None)
        if job is None:
            raise RuntimeError(f"nobody works on job {number}")
        if job.stage is Stage.SCANNING:
            self._scanning -= 1
        return job

    def _excluded(self, path: str, policy: Policy, now: datetime) -> bool:
        if self._path_exclusions is None or self._path_exclusions[0] is not policy:
            about_paths = tuple(e for e in policy.exclusions if e.kind is ExclusionKind.PATH)
            self._path_exclusions = (policy, about_paths)
        return any(exclusion.applies_to(path, now) for exclusion in self._path_exclusions[1])


def lane_of(event: FileEvent) -> Lane:
    """How urgent an event is."""
    if event.token is not None:
        return Lane.WAITED_FOR
    if event.kind is EventKind.RECONCILED:
        return Lane.RECONCILED
    name = event.path.lower()
    if name.endswith(_RISKY_SUFFIXES) or any(folder in name for folder in _RISKY_FOLDERS):
        return Lane.RISKY
    return Lane.ORDINARY


def _add_names(job: _Job, names: list[str]) -> None:
    """Older names, so they come before its own."""
    job.paths = [*(name for name in names if name not in job.paths), *job.paths][-MAX_PATHS:]


def _same_look_will_do(job: _Job, event: FileEvent) -> bool:
    """A name or an opener that joins an unchanged file needs no second look; a finished write always does."""
    return event.kind is not EventKind.CLOSED_AFTER_WRITE and event.identity == job.identity


def _origin(kind: EventKind) -> Origin:
    return Origin.RECONCILE if kind is EventKind.RECONCILED else Origin.REAL_TIME

"""Real-time protection as a whole: executes what the pipeline commands, and keeps everything around it alive."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agent.domain.costs import CostBook
from agent.domain.entitlement import Access, Feature
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.files import FileEvent, FileIdentity
from agent.domain.health import HealthIssue
from agent.domain.policy import Mode, Policy, granted_mode
from agent.platform.processes.names import ProcessNames
from agent.realtime.causes import Causes
from agent.realtime.commands import (
    Answer,
    ArmDeadline,
    Command,
    DeadlineReached,
    Input,
    MarkRootLost,
    Reconcile,
    Release,
    Remember,
    Reopen,
    Rest,
    RestartSource,
    Rested,
    SelfTestSeen,
    Stopping,
    Walk,
)
from agent.realtime.life_sign import LifeSign, LifeSigns
from agent.realtime.neighbours import Neighbours
from agent.realtime.pipeline import Pipeline, PipelineLimits
from agent.realtime.reconcile import Reconciler
from agent.realtime.self_test import SelfTest
from agent.realtime.settings import RealtimeSettings, RealtimeState
from agent.realtime.source_keeper import SourceKeeper
from agent.realtime.workbench import Workbench

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger(__name__)

#: Two clocks that are read one after the other differ by less than this; a machine that slept, by more.
_SLEPT_NS = 1_000_000_000
#: What was closed while open files were listed is announced to us by then, in seconds.
_ANNOUNCED_WITHIN_S = 0.05


class RealtimeProtection:
    """Watches the roots, has every changed file scanned, and has infected ones taken.

    Args:
        settings: What to watch.
        neighbours: Whom to ask and to tell.
        policy: What is wanted now; asked for each decision.
        access: What the entitlement allows now.
        on_proven: Called whenever the self-test came back from every root.
        is_own: Whether a path is the vault's own business: a file on its way there must not be found by a walk.
        costs: Where it is written down what scans cost; None: nowhere that anybody reads.
    """

    def __init__(
        self,
        settings: RealtimeSettings,
        neighbours: Neighbours,
        policy: Callable[[], Policy],
        access: Callable[[], Access],
        on_proven: Callable[[], None] = lambda: None,
        is_own: Callable[[str], bool] = lambda _: False,
        costs: CostBook | None = None,
    ) -> None:
        source, store, clock, randomness = neighbours.source, neighbours.store, neighbours.clock, neighbours.randomness
        self._settings = settings
        self._clock = clock
        self._policy = policy
        self._access = access
        self._on_proven = on_proven
        self._is_own = is_own
        limits = PipelineLimits(
            settings.scan_slots,
            settings.descriptors,
            settings.parked,
            settings.block.fail_open,
            settings.files_ahead,
        )
        self._pipeline = Pipeline(limits)
        self._inbox: deque[Input] = deque()
        self._busy = False
        self._causes = Causes(costs or CostBook(clock.monotonic_ns()), clock, ProcessNames())
        self._bench = Workbench(neighbours, self._dispatch, self._causes.scanned)
        self._keeper = SourceKeeper(settings, source, randomness, self._dispatch, self._source_opened)
        self._reconciler = Reconciler(
            settings,
            life_signs=LifeSigns(store, clock, neighbours.held_for_writing),
            clock=clock,
            intake=self,
            territory=self._keeper.territory,
            not_storage=self._keeper.not_storage,
        )
        within_s = settings.self_test_within_s
        self._self_test = SelfTest(store=store, randomness=randomness, registry=self._pipeline, within_s=within_s)
        self._source = source
        self._deadlines: dict[int, asyncio.TimerHandle] = {}
        self._rests: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._wanted_mode: Mode | None = None
        self._mode = Mode.NOTIFY
        self._mode_issues: tuple[HealthIssue, ...] = ()
        self._proven_at: datetime | None = None
        self._test_issues: tuple[HealthIssue, ...] = ()
        self._proving = asyncio.Lock()
        self._prove_now = asyncio.Event()
        self._something_happened = asyncio.Event()
        self._room = asyncio.Event()
        self._drained = asyncio.Event()

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Protect until cancelled.

        Raises:
            BucklerError: The source cannot be opened at the start: `ROOT_UNREADABLE`, `FANOTIFY_NOT_PERMITTED`, …
        """
        await asyncio.to_thread(self._self_test.clean_up)
        self._keeper.open_first()
        last_sign: LifeSign | None = None
        try:
            self._reconciler.load_life_sign()
            async with asyncio.TaskGroup() as tasks:
                self._bench.open(tasks)
                self._reconciler.owe("protection has just started")
                self._something_happened.set()
                tasks.create_task(self._keeper.run())
                tasks.create_task(self._reconciler.run())
                tasks.create_task(self._prove_loop())
                tasks.create_task(self._life_sign_loop())
                tasks.create_task(self._regular_walk_loop())
                tasks.create_task(self._sleep_watch_loop())
                try:
                    await asyncio.Event().wait()
                finally:
                    # Before the pipeline lets go of what waits, and while what is closed is still looked at.
                    last_sign = await self._take_life_sign()
                    self._stop()
        finally:
            self._stop()
            if last_sign is not None:
                await self._reconciler.keep_life_sign(last_sign)
            self._keeper.close()

    def _stop(self) -> None:
        self._dispatch(Stopping())
        for handle in (*self._deadlines.values(), *self._rests.values()):
            handle.cancel()
        self._deadlines.clear()
        self._rests.clear()

    def state(self) -> RealtimeState:
        """What to tell about protection now."""
        return RealtimeState(
            enabled=self._keeper.delivering,
            subsystem=self._source.name,
            mode=self._mode,
            roots=self._keeper.territory().roots,
            proven_at=self._proven_at,
            events_lost=self._pipeline.events_lost,
            queue_depth=self._pipeline.depth,
            incomplete=self._pipeline.incomplete,
            degraded_because=self._reconciler.reasons(),
            issues=self._keeper.issues()
            + self._source.issues()
            + self._test_issues
            + self._mode_issues
            + self._reconciler.issues(),
            limitations=self._source.limitations() + self._reconciler.limitations(),
        )

    def is_self_test(self, identity: FileIdentity) -> bool:
        """Whether a file is one of our own tests, which other scans leave alone."""
        return self._pipeline.is_planted(device=identity.device, inode=identity.inode)

    # ------------------------------------------------------------ proof

    async def prove(self) -> bool:
        """Plant the self-test in every root and wait; True if it came back from all of them.

        To be called after every change of signatures, so what was found clean with the old ones counts no more.
        """
        self._forget_clean()
        async with self._proving:
            roots = self._keeper.territory().roots
            self._test_issues = await self._self_test.prove(roots)
            if self._test_issues or not roots:
                self._proven_at = None
                log.warning("protection_unproven", issues=[issue.message for issue in self._test_issues])
                return False
            self._proven_at = self._clock.now()
        self._on_proven()
        return True

    async def _prove_loop(self) -> None:
        while True:
            self._prove_now.clear()
            proven = await self.prove() if self._keeper.delivering else False
            pause = self._settings.prove_every_s if proven else self._settings.reprove_after_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._prove_now.wait()

    def _source_opened(self) -> None:
        """A new source proves nothing yet, and starts without holding anybody."""
        self._proven_at = None
        self._mode = Mode.NOTIFY
        self._prove_now.set()
        self._apply_mode()

    # ------------------------------------------------------------ mode

    def set_mode(self, mode: Mode) -> None:
        """Ask for a mode from now on.

        Raises:
            BucklerError: `FEATURE_NOT_ENTITLED` or `BLOCKING_UNAVAILABLE`; the mode stays as it was.
        """
        access = self._access()
        if mode is Mode.BLOCK and not access.allows(Feature.BLOCKING_MODE):
            raise BucklerError(
                "FEATURE_NOT_ENTITLED",
                f"blocking mode is not available: access is {access.level.value} ({access.reason})",
                next_step="see `buckler subscription` for what brings it back",
                exit_status=ExitStatus.NEGATIVE,
                facts={"feature": Feature.BLOCKING_MODE.value, "access": access.level.value, "reason": access.reason},
            )
        before, self._wanted_mode = self._wanted_mode, mode
        try:
            self._switch(mode)
        except BucklerError:
            self._wanted_mode = before
            raise

    def refresh_access(self) -> None:
        """The entitlement or the policy changed: go over to the mode they grant now."""
        self._forget_clean()
        self._apply_mode()

    def follow_policy(self) -> None:
        """The policy changed: the mode that was asked for before goes no further than what it made of that."""
        self._wanted_mode = None
        self.refresh_access()

    def _forget_clean(self) -> None:
        self._bench.outdate()
        self._source.forget_clean()

    def _apply_mode(self) -> None:
        policy = self._policy()
        wanted = self._wanted_mode or policy.mode
        try:
            self._switch(granted_mode(replace(policy, mode=wanted), self._access()))
        except BucklerError as refusal:
            self._mode_issues = (HealthIssue("blocking_unavailable", f"{refusal.message}; {refusal.next_step}"),)

    def _switch(self, mode: Mode) -> None:
        if mode is not self._mode:
            self._source.set_blocking(enabled=mode is Mode.BLOCK)
            self._mode = mode
            log.info("mode_changed", mode=mode.value)
        self._mode_issues = ()

    # ------------------------------------------------------------ intake of walks (see reconcile.Intake)

    def hand_in(self, event: FileEvent) -> None:
        """A walk found a file."""
        self._dispatch(event)

    async def room(self) -> None:
        """Wait until the pipeline has room for files found by walks."""
        while not self._pipeline.has_room():
            self._room.clear()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until no file found by a walk is waiting or being worked on."""
        while self._pipeline.reconciling:
            self._drained.clear()
            await self._drained.wait()

    # ------------------------------------------------------------ commands

    def _dispatch(self, event: Input) -> None:
        """Feed the pipeline and execute what it says; events caused by that come after it."""
        if isinstance(event, FileEvent) and event.token is None and self._is_own(event.path):
            os.close(event.descriptor)
            return
        self._inbox.append(event)
        if not self._busy:
            self._work_off_inbox()
        if isinstance(event, FileEvent):
            # A worker has its file by now.
            self._causes.arrived(event)

    def _work_off_inbox(self) -> None:
        self._busy = True
        try:
            while self._inbox:
                policy, now = self._policy(), self._clock.now()
                for command in self._pipeline.handle(self._inbox.popleft(), policy, now):
                    self._execute(command)
        finally:
            self._busy = False
        self._something_happened.set()
        self._room.set()
        self._drained.set()

    def _execute(self, command: Command) -> None:
        match command:
            case Answer(token, allow):
                self._source.answer(token, allow=allow)
                deadline = self._deadlines.pop(token, None)
                if deadline is not None:
                    deadline.cancel()
            case ArmDeadline() | Rest():
                self._arm(command)
            case Release() | Reopen():
                self._inbox.extend(self._bench.handle(command))
            case Remember(descriptor, identity):
                if self._mode is Mode.BLOCK:
                    self._source.remember_clean(descriptor, identity)
            case Walk(path):
                self._reconciler.owe_folder(path)
            case Reconcile(reason):
                self._reconciler.owe(reason)
                log.warning("events_lost", reason=reason)
            case RestartSource(reason):
                self._proven_at = None
                self._keeper.restart(reason)
            case MarkRootLost(root, reason):
                self._keeper.lose(root, reason)
            case SelfTestSeen(path, found, kind):
                self._self_test.seen(path, kind, found=found)
            case _:
                self._bench.start(command)

    def _arm(self, command: ArmDeadline | Rest) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(command, ArmDeadline):
            due_s, reached = self._settings.block.answer_within_s, DeadlineReached(command.token)
            self._deadlines[command.token] = loop.call_later(due_s, self._dispatch, reached)
        else:
            over = Rested(command.device, command.inode)
            self._rests[over.device, over.inode] = loop.call_later(command.seconds, self._rested, over)

    def _rested(self, over: Rested) -> None:
        del self._rests[over.device, over.inode]
        self._dispatch(over)

    # ------------------------------------------------------------ regular work

    async def _life_sign_loop(self) -> None:
        """Note that all is looked at, but only if something happened: an idle machine stays idle."""
        while True:
            await self._something_happened.wait()
            await asyncio.sleep(max(self._settings.life_sign_every_s, self._reconciler.life_sign_pause_s))
            if self._all_looked_at():
                self._something_happened.clear()
                sign = await self._take_life_sign()
                if sign is not None:
                    await self._reconciler.keep_life_sign(sign)

    async def _take_life_sign(self) -> LifeSign | None:
        """None: something waits. A file that nobody held open any more when they were listed has been announced."""
        if not self._all_looked_at():
            return None
        sign = await self._reconciler.take_life_sign()
        await asyncio.sleep(_ANNOUNCED_WITHIN_S)
        return sign if self._all_looked_at() else None

    def _all_looked_at(self) -> bool:
        return self._pipeline.idle and self._reconciler.idle and self._keeper.delivering

    async def _regular_walk_loop(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reconcile_every_s)
            self._reconciler.owe("it is time for a regular walk")

    async def _sleep_watch_loop(self) -> None:
        """A disk may have been changed by another system, and a network folder by anybody, while this one slept."""
        before = self._clock.asleep_ns()
        while True:
            await asyncio.sleep(self._settings.sleep_check_every_s)
            now = self._clock.asleep_ns()
            if now - before > _SLEPT_NS:
                self._reconciler.owe("the machine was asleep")
            before = now

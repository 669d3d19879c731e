"""One scan, from compiled rules to its summary and exit status."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cli.interruption import Interruption, until_interrupted
from agent.cli.printing import note
from agent.cli.scan_output import ScanOutput
from agent.cli.scan_progress import Progress, open_progress
from agent.cli.scan_request import ScanRequest, ScanWiring, Selection
from agent.domain.errors import ExitStatus
from agent.domain.exclusions import ExclusionKind
from agent.domain.facts import ScanFacts
from agent.domain.policy import Action, decide
from agent.platform.priority import step_back
from agent.scanner.pacing import CpuBudget, Pace, PacedScanner
from agent.scanner.scan_report import Closing, ScannedFile, ScannedProcess, Tally, exit_status, printable
from agent.scanner.service_on_demand import ServiceOnDemand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.domain.files import FileIdentity
    from agent.domain.ports import Clock, Quarantine, Scanner
    from agent.platform.process_memory import ProcessFacts
    from agent.scanner.cache import ScanCache
    from agent.scanner.consequences import Consequences
    from agent.scanner.deferred_pack import Pack, PackEngine
    from agent.scanner.rulepack import RulePack
    from agent.scanner.tree import KnownFiles, OpenedFile

#: What `--quarantine` does about a process: ending one is not for a scanner to decide.
_LEFT_RUNNING = "left_running: end it with `kill {pid}`, then scan its program {executable} with --quarantine"


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """How a scan ended, and whether it came to its end."""

    status: ExitStatus
    finished: bool


class ScanRun:
    """Receives what one scan finds: decides, acts, tells, counts.

    Args:
        request: What was asked for.
        wiring: Clock and randomness.
        quarantine: Takes infected files; None: report only.
        progress: Shown beside the output.
        output: Where results go.
    """

    def __init__(
        self,
        request: ScanRequest,
        wiring: ScanWiring,
        quarantine: "Quarantine | None",
        progress: Progress,
        output: ScanOutput,
    ) -> None:
        self._request = request
        self._clock = wiring.clock
        self._consequences = None if quarantine is None else _consequences(quarantine, wiring)
        self._progress = progress
        self._output = output
        self.tally = Tally()
        #: Nothing can be found, excluded or told of files that are known: they only have to be counted.
        self.counts_known = not (request.verbose or request.policy.exclusions)

    async def receive(self, path: str, facts: ScanFacts, identity: "FileIdentity | None", cached: bool) -> None:  # noqa: FBT001 -- a callback
        """One file has been scanned, was known, or could not be scanned."""
        if facts.error == "vanished":
            self.tally.vanished += 1
            return
        verdict = decide(facts, path, self._request.policy, self._clock.now())
        action = ""
        if identity is not None and self._consequences is not None:
            action = await self._consequences.follow(path, identity, facts, verdict)
        self._tell(ScannedFile(path, facts, verdict, cached=cached, action=action))

    def receive_known(self, known: "KnownFiles") -> None:
        """Some files were known to be clean, and only have to be counted."""
        self.tally.add_known(len(known.files), known.size_bytes)
        self._progress.advance(known.files[-1][0], self.tally)

    async def receive_process(self, process: "ProcessFacts", facts: ScanFacts) -> None:
        """The memory of one process has been looked at, or could not be."""
        if facts.error == "vanished":
            self.tally.vanished += 1
            return
        verdict = decide(facts, process.executable, self._request.policy, self._clock.now())
        takes = verdict.action is Action.QUARANTINE
        action = _LEFT_RUNNING.format(pid=process.pid, executable=process.executable) if takes else ""
        self._tell(ScannedProcess(process, facts, verdict, action))

    def _tell(self, scanned: ScannedFile | ScannedProcess) -> None:
        self.tally.add(scanned)
        self._progress.advance(scanned.path, self.tally)
        if self._request.verbose or scanned.verdict.reasons or scanned.verdict.findings:
            self._output.tell(scanned)


def _consequences(quarantine: "Quarantine", wiring: ScanWiring) -> "Consequences":
    from agent.scanner.consequences import Consequences

    return Consequences(quarantine, None, wiring.clock, wiring.randomness)


async def run_scan(request: ScanRequest, wiring: ScanWiring, quarantine: "Quarantine | None") -> ScanOutcome:
    """Scan, with rules compiled and workers started for the occasion.

    Raises:
        BucklerError: Bad rules or no workers; nothing has been scanned then.
    """
    begun_ns = wiring.clock.monotonic_ns()
    if request.cpu_percent is not None:
        step_back()
    output = ScanOutput(request.output)
    texts_for_profile = _texts(request) if request.profile else None
    engine = wiring.engine_of(request.place, request.settings.engine)
    pack, rules_skipped = _prepared(request, engine, wiring.clock)
    service = ServiceOnDemand(request.settings, pack, wiring.clock)
    excluded = PathExclusions(request, wiring)
    counted = () if request.targets.selection is Selection.PROCESSES else request.targets.paths
    try:
        with open_progress(counted, excluded.covers, wiring.clock) as progress, _cache(request, wiring, pack) as cache:
            run = ScanRun(request, wiring, quarantine, progress, output)
            run.tally.rules_skipped = rules_skipped
            with until_interrupted() as interruption:
                await _scan(request, service, _pace(request, wiring, service), excluded, run, cache)
        run.tally.excluded = excluded.met
    finally:
        await service.close()
        pack.close()
    closing = Closing(
        elapsed_s=(wiring.clock.monotonic_ns() - begun_ns) / 1_000_000_000,
        engine=pack.engine_label,
        signatures=pack.version,
        skipped=request.targets.skipped,
        interrupted=interruption.happened,
    )
    if texts_for_profile is not None and not interruption.happened:
        from agent.cli.scan_profile import profile

        # One who has seen enough of it still gets the summary of a scan that came to its end.
        with until_interrupted():
            await profile(request, texts_for_profile, run.tally, wiring.clock, output)
    output.close(run.tally, closing)
    return _outcome(run.tally, interruption)


def _prepared(request: ScanRequest, engine: "PackEngine", clock: "Clock") -> "tuple[Pack, int]":
    """Compile if need be; with the number of rules that were left out, each of which is told."""
    if not request.skip_broken_rules:
        from agent.scanner.deferred_pack import prepare_pack
        from agent.scanner.machine_cache import untrusted_here

        return prepare_pack(request.rules, engine, clock, untrusted_here()), 0
    from agent.scanner.rulepack import compile_sound_rules

    compiled, left_out = compile_sound_rules(_texts(request), engine.load())
    for item in left_out:
        note(f"left out: {printable(str(item))}")
    return compiled, len(left_out)


def _texts(request: ScanRequest) -> "RulePack":
    from agent.scanner.rulepack import load_rules

    return load_rules(request.rules)


def _outcome(tally: Tally, interruption: Interruption) -> ScanOutcome:
    return ScanOutcome(exit_status(tally, interrupted=interruption.happened), finished=not interruption.happened)


async def _scan(
    request: ScanRequest,
    service: ServiceOnDemand,
    pace: Pace | None,
    excluded: "PathExclusions",
    run: ScanRun,
    cache: "ScanCache | None",
) -> None:
    from agent.scanner.on_demand import Receivers, scan_trees

    workers = request.settings.worker_count()

    async def start() -> "Scanner":
        started = await service.start()
        return started if pace is None else PacedScanner(started, pace)

    async def receive(path: str, facts: ScanFacts, identity: "FileIdentity | None", cached: bool) -> None:  # noqa: FBT001 -- a callback
        await run.receive(path, facts, identity, cached)
        if pace is not None:
            # Walking past what is known costs time as well.
            await pace.keep()

    if request.targets.selection is Selection.PROCESSES:
        from agent.scanner.process_scan import scan_processes

        scanner = await start()
        own = (os.getpid(), *request.own_pids)
        limits = request.settings.limits
        await scan_processes(scanner, limits, own, excluded.leaves_out, run.receive_process, at_once=workers)
        return
    named = request.targets.paths
    if request.targets.selection is not Selection.PATHS:
        # What a person names is looked at whatever they excluded before; what we find by ourselves is not.
        named = tuple(path for path in named if not excluded.leaves_out(path))
    await scan_trees(
        named,
        start,
        workers * (1 + request.settings.files_ahead),
        excluded.leaves_out if excluded.any else None,
        Receivers(receive, run.receive_known if pace is None and run.counts_known else None),
        cache=cache,
        beside=_nameless_programs(request),
    )


def _nameless_programs(request: ScanRequest) -> "Iterator[OpenedFile]":
    """What runs although its file is gone belongs to what runs."""
    if request.targets.selection is not Selection.QUICK:
        return iter(())
    from agent.scanner.quick_targets import open_nameless, running_files

    return open_nameless(running_files())


def _pace(request: ScanRequest, wiring: ScanWiring, service: ServiceOnDemand) -> Pace | None:
    if request.cpu_percent is None:
        return None
    from agent.platform.cpu_time import CpuTime

    cpu = CpuTime()
    return Pace(
        CpuBudget(request.cpu_percent), lambda: cpu.seconds({os.getpid(), *service.process_ids()}), wiring.clock
    )


class PathExclusions:
    """What is not looked at: the owner's exclusions of paths, and places that this kind of scan does not enter.

    Args:
        request: Names both.
        wiring: Judges what has expired.
    """

    def __init__(self, request: ScanRequest, wiring: ScanWiring) -> None:
        self._by_path = tuple(e for e in request.policy.exclusions if e.kind is ExclusionKind.PATH)
        self._not_entered = frozenset(folder.path for folder in request.targets.skipped)
        self._clock = wiring.clock
        #: How often a path was left out because of an exclusion.
        self.met = 0

    @property
    def any(self) -> bool:
        """False: there is nothing to ask about."""
        return bool(self._by_path or self._not_entered)

    def covers(self, path: str) -> bool:
        """Whether a path is left out."""
        return path in self._not_entered or self._is_excluded(path)

    def leaves_out(self, path: str) -> bool:
        """Whether a path is left out; to be asked once for each, since the answers are counted."""
        if path in self._not_entered:
            return True
        is_excluded = self._is_excluded(path)
        self.met += is_excluded
        return is_excluded

    def _is_excluded(self, path: str) -> bool:
        if not self._by_path:
            return False
        now = self._clock.now()
        return any(exclusion.applies_to(path, now) for exclusion in self._by_path)


def _cache(request: ScanRequest, wiring: ScanWiring, pack: "Pack") -> "AbstractContextManager[ScanCache | None]":
    if not request.cache or request.targets.selection is Selection.PROCESSES:
        return nullcontext()
    return wiring.open_cache(request.place, pack, request.settings.limits)

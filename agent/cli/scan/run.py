"""One scan, from compiled rules to its summary and exit status."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from agent.cli.printing import note
from agent.cli.scan.ground import PathExclusions, walk
from agent.cli.scan.interruption import Interruption, noticing_interruption
from agent.cli.scan.output import ScanOutput
from agent.cli.scan.progress import Progress, open_progress
from agent.cli.scan.request import ScanRequest, ScanWiring, Selection
from agent.domain.errors import ExitStatus
from agent.domain.facts import ScanFacts
from agent.domain.policy import Action, decide
from agent.platform.processes.priority import step_back
from agent.scanner.scan_report import Closing, ScannedFile, ScannedProcess, Tally, exit_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.domain.files import FileIdentity
    from agent.domain.ports import Clock, Quarantine
    from agent.platform.processes.memory import ProcessFacts
    from agent.scanner.cache import ScanCache
    from agent.scanner.consequences import Consequences
    from agent.scanner.packs.deferred_pack import Pack, PackEngine
    from agent.scanner.packs.rulepack import RulePack
    from agent.scanner.walk.tree import FoundFile, KnownFiles, OpenedFile, UnopenedFile

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
        self._counts_known = not (request.verbose or request.policy.exclusions)

    async def receive(self, path: str, identity: "FileIdentity", facts: ScanFacts) -> None:
        """One file has been scanned."""
        verdict = decide(facts, path, self._request.policy, self._clock.now())
        action = ""
        if self._consequences is not None:
            action = await self._consequences.follow(path, identity, facts, verdict)
        self._tell(ScannedFile(path, facts, verdict, action=action))

    def pass_by(self, found: "KnownFiles | UnopenedFile", cache: "ScanCache | None") -> None:
        """Files are known to be clean, or one could not be opened."""
        from agent.scanner.walk.tree import UnopenedFile

        if isinstance(found, UnopenedFile):
            self._tell_unscanned(found.path, ScanFacts("", 0, error=found.error), cached=False)
        elif self._counts_known:
            self.tally.add_known(len(found.files), found.size_bytes)
            self._progress.advance(f"{found.folder}/{found.files[-1][0]}", self.tally)
        else:
            assert cache is not None, "whoever knows files has them from there"
            for name, size_bytes, digest in found.files:
                self._tell_unscanned(f"{found.folder}/{name}", cache.facts(size_bytes, digest), cached=True)

    def _tell_unscanned(self, path: str, facts: ScanFacts, *, cached: bool) -> None:
        if facts.error == "vanished":
            self.tally.vanished += 1
            return
        verdict = decide(facts, path, self._request.policy, self._clock.now())
        self._tell(ScannedFile(path, facts, verdict, cached=cached))

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


def run_scan(request: ScanRequest, wiring: ScanWiring, quarantine: "Quarantine | None") -> ScanOutcome:
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
    excluded = PathExclusions(request, wiring)
    counted = () if request.targets.selection is Selection.PROCESSES else request.targets.paths
    try:
        with open_progress(counted, excluded.covers, wiring.clock) as progress, _cache(request, wiring, pack) as cache:
            run = ScanRun(request, wiring, quarantine, progress, output)
            run.tally.rules_skipped = rules_skipped
            interruption = _scan(request, wiring, pack, excluded, run, cache)
        run.tally.excluded = excluded.met
    finally:
        pack.close()
    closing = Closing(
        elapsed_s=(wiring.clock.monotonic_ns() - begun_ns) / 1_000_000_000,
        engine=pack.engine_label,
        signatures=pack.version,
        skipped=request.targets.skipped,
        interrupted=interruption.happened,
    )
    if texts_for_profile is not None and not interruption.happened:
        from agent.cli.scan.profile import tell_profile

        tell_profile(request, texts_for_profile, run.tally, wiring.clock, output)
    output.close(run.tally, closing)
    return _outcome(run.tally, interruption)


def _prepared(request: ScanRequest, engine: "PackEngine", clock: "Clock") -> "tuple[Pack, int]":
    """Compile if need be; with the number of rules that were left out, each of which is told."""
    if not request.skip_broken_rules:
        from agent.scanner.machine_cache import untrusted_here
        from agent.scanner.packs.deferred_pack import prepare_pack

        return prepare_pack(request.rules, engine, clock, untrusted_here()), 0
    from agent.scanner.packs.rulepack import compile_sound_rules

    compiled, left_out = compile_sound_rules(_texts(request), engine.load())
    for item in left_out:
        note(f"left out: {item}")
    return compiled, len(left_out)


def _texts(request: ScanRequest) -> "RulePack":
    from agent.scanner.packs.rulepack import load_rules

    return load_rules(request.rules)


def _outcome(tally: Tally, interruption: Interruption) -> ScanOutcome:
    return ScanOutcome(exit_status(tally, interrupted=interruption.happened), finished=not interruption.happened)


def _scan(
    request: ScanRequest,
    wiring: ScanWiring,
    pack: "Pack",
    excluded: PathExclusions,
    run: ScanRun,
    cache: "ScanCache | None",
) -> Interruption:
    found: Iterator[FoundFile] = iter(())
    if request.targets.selection is not Selection.PROCESSES:
        found = walk(request, excluded, None if cache is None else cache.folder)
        if request.cpu_percent is None:
            with noticing_interruption() as interruption:
                first = _first_to_scan(found, run, cache, interruption)
            if first is None:
                return interruption
            found = chain((first,), found)
    import asyncio

    from agent.cli.scan.workers import WorkerScan, scan_files, scan_memory

    scan = WorkerScan(request, wiring, pack, run)
    if request.targets.selection is Selection.PROCESSES:
        return asyncio.run(scan_memory(scan, excluded))
    return asyncio.run(scan_files(scan, found, cache))


def _first_to_scan(
    found: "Iterator[FoundFile]", run: ScanRun, cache: "ScanCache | None", interruption: Interruption
) -> "OpenedFile | None":
    """Pass by what needs no scan. None: nothing does, or somebody asked to stop."""
    from agent.scanner.walk.tree import OpenedFile

    for file in found:
        if isinstance(file, OpenedFile):
            if not interruption.happened:
                return file
            os.close(file.descriptor)
        else:
            run.pass_by(file, cache)
        if interruption.happened:
            break
    return None


def _cache(request: ScanRequest, wiring: ScanWiring, pack: "Pack") -> "AbstractContextManager[ScanCache | None]":
    if not request.cache or request.targets.selection is Selection.PROCESSES:
        return nullcontext()
    return wiring.open_cache(request.place, pack, request.settings.limits)

"""One scan, from compiled rules to its summary and exit status."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from agent.cli.scan_progress import Progress, open_progress
from agent.cli.scan_request import Output, ScanRequest, ScanWiring
from agent.domain.errors import ExitStatus
from agent.domain.exclusions import ExclusionKind
from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.incident import Origin
from agent.domain.policy import Action, Verdict, decide
from agent.domain.ports import CaptureRequest, Quarantine
from agent.domain.quarantine import CaptureState
from agent.scanner.scan_report import (
    ScannedFile,
    Tally,
    exit_status,
    file_line,
    file_record,
    summary_lines,
    summary_record,
)

if TYPE_CHECKING:
    from agent.scanner.cache import ScanCache
    from agent.scanner.rulepack import CompiledPack


class ScanRun:
    """Receives the files of one scan: decides, acts, tells, counts.

    Args:
        request: What was asked for.
        wiring: Clock and randomness.
        quarantine: Takes infected files; None: report only.
        progress: Shown beside the output.
    """

    def __init__(
        self, request: ScanRequest, wiring: ScanWiring, quarantine: Quarantine | None, progress: Progress
    ) -> None:
        self._request = request
        self._wiring = wiring
        self._quarantine = quarantine
        self._progress = progress
        self.tally = Tally()

    async def receive(self, path: str, facts: ScanFacts, identity: FileIdentity | None, cached: bool) -> None:  # noqa: FBT001 -- a callback
        """One file has been scanned, was known, or could not be scanned."""
        if facts.error == "vanished":
            self.tally.vanished += 1
            return
        verdict = decide(facts, path, self._request.policy, self._wiring.clock.now())
        action = await self._act(path, facts, verdict, identity)
        file = ScannedFile(path, facts, verdict, cached=cached, action=action)
        self.tally.add(file)
        self._progress.advance(path, self.tally)
        if self._request.verbose or verdict.reasons or verdict.findings:
            _write(json.dumps(file_record(file)) if self._request.output is Output.JSON else file_line(file))

    async def _act(self, path: str, facts: ScanFacts, verdict: Verdict, identity: FileIdentity | None) -> str:
        if self._quarantine is None or identity is None or verdict.action is not Action.QUARANTINE:
            return ""
        request = CaptureRequest(
            incident_uuid=self._wiring.randomness.uuid(),
            path=path,
            identity=identity,
            facts=facts,
            findings=verdict.findings,
            origin=Origin.SCAN,
            detected_at=self._wiring.clock.now(),
        )
        entry = await self._quarantine.capture(request)
        return "quarantined" if entry.state is CaptureState.DONE else f"quarantine_failed: {entry.detail}"


async def run_scan(request: ScanRequest, wiring: ScanWiring, quarantine: Quarantine | None) -> ExitStatus:
    """Scan, with rules compiled and workers started for the occasion.

    Raises:
        BucklerError: Bad rules or no workers; nothing has been scanned then.
    """
    from agent.scanner.on_demand import scan_trees
    from agent.scanner.rulepack import compile_pack, load_rules
    from agent.scanner.service import ScannerService

    begun_ns = wiring.clock.monotonic_ns()
    pack = compile_pack(load_rules(request.rules), request.settings.engine)
    service = ScannerService(request.settings, pack, wiring.clock)
    try:
        with open_progress() as progress, _cache(request, wiring, pack) as cache:
            run = ScanRun(request, wiring, quarantine, progress)
            workers = request.settings.worker_count()
            excluded = _exclusions(request, wiring)
            await scan_trees(request.targets, service, workers, excluded, run.receive, start=service.start, cache=cache)
    finally:
        await service.close()
        pack.close()
    elapsed_s = (wiring.clock.monotonic_ns() - begun_ns) / 1_000_000_000
    if request.output is Output.JSON:
        record = summary_record(run.tally, elapsed_s=elapsed_s, engine=pack.engine_label, signatures=pack.version)
        _write(json.dumps(record))
    else:
        for line in summary_lines(run.tally, elapsed_s=elapsed_s, engine=pack.engine_label, signatures=pack.version):
            _write(line)
    return exit_status(run.tally)


def _exclusions(request: ScanRequest, wiring: ScanWiring) -> Callable[[str], bool]:
    by_path = [exclusion for exclusion in request.policy.exclusions if exclusion.kind is ExclusionKind.PATH]
    if not by_path:
        return lambda _path: False
    return lambda path: any(exclusion.applies_to(path, wiring.clock.now()) for exclusion in by_path)


def _cache(
    request: ScanRequest, wiring: ScanWiring, pack: "CompiledPack"
) -> "AbstractContextManager[ScanCache | None]":
    if request.cache_place is None:
        return nullcontext()
    return wiring.open_cache(request.cache_place, pack, request.settings.limits)


def _write(line: str) -> None:
    """A line to standard output, whatever encoding that has."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    # Whoever reads along through a pipe learns of a threat when it is found, not when a buffer is full.
    sys.stdout.flush()

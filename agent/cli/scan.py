"""`buckler scan PATH...`: scan files now. Needs no agent, no activation and no network."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.printing import note
from agent.cli.scan_progress import Progress, open_progress
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import ExclusionKind
from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.incident import Origin
from agent.domain.policy import Action, Policy, Verdict, decide
from agent.domain.ports import CaptureRequest, Clock, Quarantine, Randomness
from agent.domain.quarantine import CaptureState
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.scanner.limits import Limits
from agent.scanner.scan_report import (
    ScannedFile,
    Tally,
    exit_status,
    file_line,
    file_record,
    printable,
    summary_lines,
    summary_record,
)
from agent.scanner.settings import ScannerSettings

if TYPE_CHECKING:
    from agent.scanner.cache import ScanCache
    from agent.scanner.rulepack import CompiledPack

_SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Output(Enum):
    """What is written to standard output."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ScanPlace:
    """Where this machine keeps what a scan may need; None: the defaults."""

    data_dir: Path | None
    config: Path | None


def no_cache_here(
    _place: ScanPlace, _pack: "CompiledPack", _limits: Limits
) -> "AbstractContextManager[ScanCache | None]":
    """For a machine with nothing but the program: every file is scanned."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class ScanDefaults:
    """What holds where the command line says nothing.

    Attributes:
        settings: Engine, workers, limits.
        rules: Rule files to scan with; empty: those that come with the program.
        policy: Its exclusions count; its action is decided by `--quarantine`.
    """

    settings: ScannerSettings = field(default_factory=ScannerSettings)
    rules: tuple[Path, ...] = ()
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class ScanWiring:
    """What `scan` is given by whoever registers it.

    Attributes:
        clock: Judges and measures.
        randomness: Names incidents.
        load_defaults: Reads configuration and exclusions; must work where there are none.
        open_quarantine: Opens the vault for the duration of a scan with `--quarantine`.
        open_cache: Opens what earlier scans with that pack and those limits found clean; None where there can be none.
    """

    clock: Clock
    randomness: Randomness
    load_defaults: Callable[[ScanPlace], ScanDefaults]
    open_quarantine: Callable[[ScanPlace], AbstractContextManager[Quarantine]]
    open_cache: "Callable[[ScanPlace, CompiledPack, Limits], AbstractContextManager[ScanCache | None]]" = no_cache_here


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One call of `scan`, checked."""

    targets: tuple[str, ...]
    rules: tuple[Path, ...]
    settings: ScannerSettings
    policy: Policy
    output: Output
    verbose: bool
    #: Scan with the rules that compile; else one that does not ends the scan before it begins.
    skip_broken_rules: bool = False
    #: Where the cache is; None: neither read nor write one.
    cache_place: ScanPlace | None = None


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
    from agent.scanner.service import ScannerService

    begun_ns = wiring.clock.monotonic_ns()
    pack, rules_skipped = _compiled_rules(request)
    service = ScannerService(request.settings, pack, wiring.clock)
    try:
        with open_progress() as progress, _cache(request, wiring, pack) as cache:
            run = ScanRun(request, wiring, quarantine, progress)
            run.tally.rules_skipped = rules_skipped
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


def _compiled_rules(request: ScanRequest) -> "tuple[CompiledPack, int]":
    """Compile; with the number of rules that were left out, each of which is told."""
    from agent.scanner.rulepack import compile_pack, compile_sound_rules, load_rules

    pack = load_rules(request.rules)
    if not request.skip_broken_rules:
        return compile_pack(pack, request.settings.engine), 0
    compiled, left_out = compile_sound_rules(pack, request.settings.engine)
    for item in left_out:
        note(f"left out: {printable(str(item))}")
    return compiled, len(left_out)


def scan_command(wiring: ScanWiring) -> Callable[..., None]:
    """The command with everything it needs; register the result with Typer."""

    def scan(  # noqa: PLR0913 -- one argument per flag of the contract
        paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)],
        *,
        rules: Annotated[
            list[Path] | None,
            typer.Option(help="Scan with these rules instead of the installed ones: file, folder or zip. Repeatable."),
        ] = None,
        skip_broken_rules: Annotated[
            bool, typer.Option("--skip-broken-rules", help="Leave out rules that do not compile, and say which.")
        ] = False,
        engine: Annotated[str, typer.Option(help="Signature engine: yara or boreal.")] = "",
        quarantine: Annotated[bool, typer.Option("--quarantine", help="Take what is infected to the vault.")] = False,
        jobs: Annotated[int, typer.Option(min=0, max=256, help="Workers; 0: one per core.")] = 0,
        no_cache: Annotated[
            bool, typer.Option("--no-cache", help="Neither believe an earlier scan nor remember this one.")
        ] = False,
        max_file_size: Annotated[str, typer.Option(help="Bytes of a file or a member; K, M, G allowed.")] = "",
        max_depth: Annotated[int | None, typer.Option(min=0, help="Containers inside one another.")] = None,
        max_members: Annotated[int | None, typer.Option(min=0, help="Members of one file, all depths.")] = None,
        max_expanded_size: Annotated[str, typer.Option(help="Unpacked bytes of one file; K, M, G allowed.")] = "",
        timeout: Annotated[float | None, typer.Option(help="Seconds for one file.")] = None,
        output: Annotated[Output, typer.Option(help="JSON Lines for programs.")] = Output.TEXT,
        verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Clean files too.")] = False,
        data_dir: Annotated[
            Path | None, typer.Option(envvar="BUCKLER_DATA_DIR", help="Where the agent keeps its data.")
        ] = None,
        config: Annotated[Path | None, typer.Option(envvar="BUCKLER_CONFIG", help="Configuration file.")] = None,
    ) -> None:
        """Scan files and folders. Exit status: 0 clean, 1 threat found, 2 error, 3 not everything could be scanned."""
        place = ScanPlace(data_dir, config)
        defaults = wiring.load_defaults(place)
        limits = _limits(
            defaults.settings.limits,
            max_file_size=_size(max_file_size, "--max-file-size"),
            max_depth=max_depth,
            max_members=max_members,
            max_expanded_size=_size(max_expanded_size, "--max-expanded-size"),
            timeout_s=timeout,
        )
        settings = replace(
            defaults.settings,
            engine=engine or defaults.settings.engine,
            workers=jobs or defaults.settings.workers,
            limits=limits,
        )
        policy = replace(defaults.policy, on_infected=Action.QUARANTINE if quarantine else Action.REPORT)
        request = ScanRequest(
            _targets(paths),
            tuple(rules or ()) or _installed_rules(defaults),
            settings,
            policy,
            output,
            verbose,
            skip_broken_rules=skip_broken_rules,
            cache_place=None if no_cache else place,
        )
        with ExitStack() as stack:
            vault = stack.enter_context(wiring.open_quarantine(place)) if quarantine else None
            status = _run_to_the_end(request, wiring, vault)
        raise typer.Exit(status)

    return scan


def _run_to_the_end(request: ScanRequest, wiring: ScanWiring, vault: Quarantine | None) -> ExitStatus:
    try:
        return asyncio.run(run_scan(request, wiring, vault))
    except KeyboardInterrupt:
        raise BucklerError(
            "SCAN_INTERRUPTED", "the scan was interrupted before its end", next_step="start it again"
        ) from None


def _targets(paths: Sequence[str]) -> tuple[str, ...]:
    from agent.scanner.tree import resolve_named

    targets: list[str] = []
    for path in paths:
        target = resolve_named(path)
        if target is None:
            raise BucklerError(
                "PATH_NOT_FOUND",
                f"there is nothing at {printable(path)}",
                next_step="check the path; nothing has been scanned",
            )
        targets.append(target)
    return tuple(targets)


def _installed_rules(defaults: ScanDefaults) -> tuple[Path, ...]:
    from agent.scanner.rulepack import builtin_signatures

    return defaults.rules or (builtin_signatures(),)


def _limits(defaults: Limits, **wanted: Any) -> Limits:
    try:
        return replace(defaults, **{name: value for name, value in wanted.items() if value is not None})
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _size(text: str, flag: str) -> int | None:
    if not text:
        return None
    unit = _SIZE_UNITS.get(text[-1].upper(), 1)
    digits = text[:-1] if unit > 1 else text
    if not digits.isascii() or not digits.isdigit():
        raise typer.BadParameter(f"{text!r} is no number of bytes; 1048576 and 1M are", param_hint=flag)
    return int(digits) * unit


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


def _no_vault(_place: ScanPlace) -> AbstractContextManager[Quarantine]:
    raise BucklerError(
        "QUARANTINE_UNAVAILABLE",
        "this installation has no quarantine",
        next_step="scan without --quarantine",
        exit_status=ExitStatus.ENVIRONMENT,
    )


#: The command as it works on a machine with nothing but the program.
scan = scan_command(
    ScanWiring(
        SystemClock(), SystemRandomness(), load_defaults=lambda _place: ScanDefaults(), open_quarantine=_no_vault
    )
)

"""Timing rules: some files scanned again, by a worker like any other, with parts of the rules.

As a program, `python -I -m agent.scanner.costs.rule_timing ORDER`, it times the rules in one file and says on its
standard output which of them costs most: compiling parts of a pack takes memory and time that the agent itself shall
not spend.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agent.domain.blame import MOSTLY, QUICK_S, Blame, blame_for
from agent.domain.errors import BucklerError
from agent.domain.ports import Clock
from agent.platform.clock import SystemClock
from agent.platform.files.regular_files import open_regular
from agent.platform.processes.costs import usage_of
from agent.platform.processes.priority import step_back
from agent.scanner.costs.rule_costs import DividedPack, Enough, GroupCost, RuleCosts, costliest_rules, never_enough
from agent.scanner.engines.port import RuleSource
from agent.scanner.limits import Limits
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import RulePack, compile_pack, load_rules
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService

#: Scans with parts of the pack; each compiles that part first.
_MEASUREMENTS = 40
#: The quicker of so many is believed: the rest is what else the machine did.
_REPEATS = 2
#: From here on, in milliseconds, processor time is what counts: the worker may have waited for others. Once will do.
_LONG_MS = 1_000.0
_MS_PER_S = 1_000.0


async def time_rules(
    settings: ScannerSettings,
    sources: Sequence[RuleSource],
    paths: Sequence[str],
    clock: Clock,
    enough: Enough = never_enough,
) -> RuleCosts | None:
    """Find out which rules cost most in some files, by scanning them again with parts of the rules.

    Args:
        settings: How to scan.
        sources: The rules.
        paths: In which files.
        clock: Measures.
        enough: See `costliest_rules`.

    Returns:
        None: one of the files cannot be read now.
    """

    async def measure(part: Sequence[RuleSource]) -> float | None:
        try:
            return await _time_of(settings, part, paths, clock)
        except BucklerError:
            # Rules that compile together need not compile apart.
            return None

    return await costliest_rules(DividedPack(sources), measure, at_most=_MEASUREMENTS, enough=enough)


async def _time_of(
    settings: ScannerSettings, part: Sequence[RuleSource], paths: Sequence[str], clock: Clock
) -> float | None:
    """Milliseconds that a worker with these rules takes for all the files; None: one of them cannot be read now."""
    pack = compile_pack(RulePack(tuple(part), "profile", clock.now()), settings.engine)
    service = ScannerService(replace(settings, workers=1), pack, clock)
    least: float | None = None
    try:
        await service.start()
        for _ in range(_REPEATS):
            since_ms = _processor_ms(service)
            elapsed_ms = await _scan_all(service, paths)
            if elapsed_ms is not None and elapsed_ms >= _LONG_MS * max(1, len(paths)):
                spent_ms = _processor_ms(service) - since_ms
                return spent_ms if spent_ms > 0 else elapsed_ms
            if elapsed_ms is not None:
                least = elapsed_ms if least is None else min(least, elapsed_ms)
            if elapsed_ms is None:
                break
    finally:
        await service.close()
        pack.close()
    return least


def _processor_ms(service: ScannerService) -> float:
    """Of its one worker; a successor, should it have been replaced, begins at nothing."""
    return sum(usage.cpu_s * _MS_PER_S for pid in service.worker_pids() if (usage := usage_of(pid)) is not None)


async def _scan_all(service: ScannerService, paths: Sequence[str]) -> float | None:
    elapsed_ms = 0.0
    for path in paths:
        try:
            opened = open_regular(path)
        except OSError:
            return None
        if opened is None:
            return None
        try:
            elapsed_ms += (await service.scan(opened.descriptor, path)).elapsed_ms
        finally:
            os.close(opened.descriptor)
    return elapsed_ms


# ---------------------------------------------------------------- as a program


@dataclass(frozen=True, slots=True)
class TimingOrder:
    """What the program is told.

    Attributes:
        path: The file.
        engine: See `ScannerSettings.engine`.
        limits: Of one scan; its time is what is spent on one measurement at most.
        extra_rules: Rule files and folders beside what is built in.
        within_s: After so long nothing more is measured.
        built_in: What is built in counts, too.
    """

    path: str
    engine: str
    limits: Limits
    extra_rules: tuple[str, ...]
    within_s: float
    built_in: bool = True


def encode_order(order: TimingOrder) -> str:
    """As an argument; names that are no valid UTF-8 survive."""
    return json.dumps(asdict(order))


def decode_order(text: str) -> TimingOrder:
    """The inverse."""
    found = json.loads(text)
    return TimingOrder(**{**found, "limits": Limits(**found["limits"]), "extra_rules": tuple(found["extra_rules"])})


async def blame_in(order: TimingOrder) -> Blame:
    """Find the rule that costs most in one file.

    Raises:
        BucklerError: The rules cannot be loaded.
    """
    until = time.monotonic() + order.within_s
    built_in = (builtin_signatures(),) if order.built_in else ()
    sources = load_rules((*built_in, *map(Path, order.extra_rules))).sources
    settings = ScannerSettings(engine=order.engine, limits=order.limits, workers=1)

    def enough(singles: Sequence[GroupCost], whole: GroupCost) -> bool:
        over = time.monotonic() > until or whole.ms < QUICK_S * _MS_PER_S
        return over or any(group.ms >= MOSTLY * whole.ms for group in singles)

    costs = await time_rules(settings, sources, [order.path], SystemClock(), enough)
    if costs is None:
        return Blame(why_not="it cannot be read any more")
    most = max((*costs.rules, *costs.groups), key=lambda group: group.ms, default=None)
    return blame_for(
        _named(most) if most else "",
        rule_s=most.ms / _MS_PER_S if most else 0.0,
        rules_s=costs.all_ms / _MS_PER_S,
        without_rules_s=costs.base_ms / _MS_PER_S,
    )


def _named(group: GroupCost) -> str:
    first, last = group.units[0].name, group.units[-1].name
    return f"rule {first}" if len(group.units) == 1 else f"one of {len(group.units)} rules, {first} to {last}"


def main(arguments: list[str]) -> int:
    """Time and tell."""
    step_back()
    try:
        blame = asyncio.run(blame_in(decode_order(arguments[0])))
    except BucklerError as error:
        blame = Blame(why_not=f"timing its rules failed: {error.message}")
    sys.stdout.write(json.dumps(asdict(blame)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

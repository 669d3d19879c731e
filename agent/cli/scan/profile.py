"""`buckler scan --profile`: the costliest files, formats and rules, and how that was found out."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.cli.scan.output import ScanOutput
from agent.cli.scan.request import ScanRequest, Selection
from agent.cli.scan.until_interrupted import until_interrupted
from agent.domain.ports import Clock
from agent.scanner.costs.rule_costs import GroupCost, RuleCosts
from agent.scanner.costs.rule_timing import time_rules
from agent.scanner.costs.scan_costs import SlowFile, cost_record, slow_record, slow_text
from agent.scanner.scan_report import Tally, printable

if TYPE_CHECKING:
    from agent.scanner.packs.rulepack import RulePack

#: Files that are listed, and those that are scanned again for the rules.
_FILES_SHOWN = 10
_FILES_MEASURED = 3
_RULES_SHOWN = 10
_METHOD = (
    "files and formats: measured in the workers during the scan; rules: the {files} slowest files scanned again, in a "
    "worker like any other, with parts of the rules, the costliest part divided in two each time ({measurements} "
    "scans{rest}); an engine cannot time a single rule"
)


def tell_profile(request: ScanRequest, rules: "RulePack", tally: Tally, clock: Clock, output: ScanOutput) -> None:
    """Tell what was costly; one who has seen enough of it interrupts just this."""
    asyncio.run(_tell_until_interrupted(request, rules, tally, clock, output))


async def _tell_until_interrupted(
    request: ScanRequest, rules: "RulePack", tally: Tally, clock: Clock, output: ScanOutput
) -> None:
    with until_interrupted():
        await _profile(request, rules, tally, clock, output)


async def _profile(request: ScanRequest, rules: "RulePack", tally: Tally, clock: Clock, output: ScanOutput) -> None:
    slowest = tally.costs.slowest(_FILES_SHOWN)
    measured = [] if request.targets.selection is Selection.PROCESSES else list(slowest[:_FILES_MEASURED])
    costs = (
        await time_rules(request.settings, rules.sources, [file.path for file in measured], clock) if measured else None
    )
    if output.is_json:
        output.record(_record(tally, slowest, measured, costs))
        return
    for line in _lines(tally, slowest, measured, costs):
        output.line(printable(line))


def _method(measured: Sequence[SlowFile], costs: RuleCosts | None) -> str:
    rest = "" if costs is None or costs.complete else "; more would have divided further"
    return _METHOD.format(files=len(measured), measurements=costs.measurements if costs else 0, rest=rest)


def _record(
    tally: Tally, slowest: Sequence[SlowFile], measured: Sequence[SlowFile], costs: RuleCosts | None
) -> dict[str, object]:
    return {
        "type": "profile",
        "method": _method(measured, costs),
        "files": [slow_record(file) for file in slowest],
        "spent": [cost_record(cost) for cost in tally.costs.spent()],
        "rules": [_group_record(group) for group in costs.rules[:_RULES_SHOWN]] if costs else [],
        "groups": [_group_record(group) for group in costs.groups[:_RULES_SHOWN]] if costs else [],
        "rules_ms": round(costs.all_ms, 3) if costs else None,
    }


def _group_record(group: GroupCost) -> dict[str, object]:
    return {
        "ms": round(group.ms, 3),
        "count": len(group.units),
        "first": group.units[0].name,
        "last": group.units[-1].name,
    }


def _lines(
    tally: Tally, slowest: Sequence[SlowFile], measured: Sequence[SlowFile], costs: RuleCosts | None
) -> list[str]:
    lines = [f"profile : {_method(measured, costs)}"]
    lines += [f"profile file : {slow_text(file)}" for file in slowest]
    lines += [
        f"profile spent : {cost.name} {cost.microseconds / 1_000_000:.3f} s in {cost.times}"
        for cost in tally.costs.spent()
    ]
    if costs is None:
        return lines
    return [
        *lines,
        f"profile rules : {costs.all_ms:.1f} ms for all of them in the {len(measured)} slowest files",
        *(f"profile rule : {group.ms:.1f} ms {group.units[0].name}" for group in costs.rules[:_RULES_SHOWN]),
        *(f"profile rules : {group.ms:.1f} ms {_extent(group)}" for group in costs.groups[:_RULES_SHOWN]),
    ]


def _extent(group: GroupCost) -> str:
    return f"{len(group.units)} rules, {group.units[0].name} to {group.units[-1].name}"

"""`buckler scan-costs`: which programs, folders and formats scanning cost most, and what could be done about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.asking import settings_of
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json, say_table
from agent.cli.scan_costs_wiring import read_scan_costs, time_rules_of
from agent.domain.costs import CostKind, CostLine, CostReport, CostWindow
from agent.domain.counting import counted
from agent.domain.exclusion_advice import Advice, advise

if TYPE_CHECKING:
    from agent.scanner.costs.rule_costs import GroupCost, RuleCosts

_US_PER_MS = 1_000
_US_PER_S = 1_000_000
#: Of the rules that were timed.
_RULES_SHOWN = 10


def scan_costs(
    context: typer.Context,
    window: Annotated[
        CostWindow, typer.Option("--window", help="The last hour, the last day, or since the agent started.")
    ] = CostWindow.HOUR,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="Lines of each kind.")] = 5,
    *,
    rules: Annotated[
        bool, typer.Option("--rules", help="Also time rules: the slowest files are scanned again with parts of them.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show where scanning spends its time. By program, folder, format and step, with advice on exclusions.

    Times are wall time in scan workers. Only the agent's own scans are counted, not those of `buckler scan`.
    """
    common = common_options(context, output, data_dir, config)
    settings = settings_of(common)
    report = read_scan_costs(settings, window)
    advice = advise(report)
    timed = time_rules_of(settings, report) if rules else None
    if common.as_json:
        say_json(cost_record(report, advice, limit) | ({"rules": _rules_record(timed)} if rules else {}))
        return
    _say_report(report, limit)
    for line in advice_lines(advice):
        say(line)
    if rules:
        for line in _rule_lines(timed):
            say(line)


def _say_report(report: CostReport, limit: int) -> None:
    say(
        f"{report.window.value} : {report.microseconds / _US_PER_S:.1f} s of scanning, "
        f"{counted(report.files, 'file')}, in {report.covers_s / 60:.0f} minutes"
    )
    rows = [
        (kind.value, f"{line.microseconds / _US_PER_S:.2f}", _percent(line, report), str(line.files), name)
        for kind in CostKind
        for name, line in _told(report, kind, limit)
    ]
    if rows:
        say_table(("KIND", "SECONDS", "SHARE", "FILES", "NAME"), rows)
    for file in report.slowest[:limit]:
        say(f"slow : {file.path} ({file.microseconds / _US_PER_S:.3f} s, by {file.cause})")


def _told(report: CostReport, kind: CostKind, limit: int) -> list[tuple[str, CostLine]]:
    """The costliest names, and in one line everything else."""
    lines = report.lines[kind]
    told = [(line.name, line) for line in lines[:limit]]
    left = (*lines[limit:], report.rest[kind])
    rest = CostLine("", sum(line.microseconds for line in left), sum(line.files for line in left))
    return [*told, ("(others)", rest)] if rest.files else told


def _percent(line: CostLine, report: CostReport) -> str:
    return f"{line.microseconds / report.microseconds:.0%}" if report.microseconds else "0%"


def advice_lines(advice: Advice) -> list[str]:
    """Advice for people."""
    lines: list[str] = []
    for item in advice.suggestions:
        lines += [
            f"suggestion : exclude {item.path} ({item.share:.0%} of scan time; most of all was caused by {item.cause})",
            f"  risk : {item.risk}",
            f"  how : {item.command}",
        ]
    lines += [
        f"not suggested : {item.path} ({item.share:.0%} of scan time), because {item.reason}"
        for item in advice.withheld
    ]
    return lines or ["suggestion : none; nothing costs enough to be worth a hole in the protection"]


def cost_record(report: CostReport, advice: Advice, limit: int) -> dict[str, Any]:
    """A report and what follows from it, for programs."""
    return {
        "window": report.window.value,
        "covers_s": round(report.covers_s, 1),
        "ms": report.microseconds / _US_PER_MS,
        "files": report.files,
        "costs": {
            kind.value: [
                {"name": name, "ms": line.microseconds / _US_PER_MS, "files": line.files}
                for name, line in _told(report, kind, limit)
            ]
            for kind in CostKind
        },
        "slowest": [
            {"path": file.path, "ms": file.microseconds / _US_PER_MS, "size": file.size_bytes, "cause": file.cause}
            for file in report.slowest[:limit]
        ],
        "suggestions": [
            {
                "kind": "path",
                "path": item.path,
                "share": round(item.share, 3),
                "cause": item.cause,
                "risk": item.risk,
                "command": item.command,
            }
            for item in advice.suggestions
        ],
        "withheld": [
            {"path": item.path, "share": round(item.share, 3), "reason": item.reason} for item in advice.withheld
        ],
    }


def _rules_record(timed: "RuleCosts | None") -> dict[str, Any] | None:
    if timed is None:
        return None
    return {
        "all_ms": round(timed.all_ms, 3),
        "complete": timed.complete,
        "rules": [_group_record(group) for group in timed.rules[:_RULES_SHOWN]],
        "groups": [_group_record(group) for group in timed.groups[:_RULES_SHOWN]],
    }


def _group_record(group: "GroupCost") -> dict[str, Any]:
    names = [group.units[0].name, group.units[-1].name]
    return {"ms": round(group.ms, 3), "count": len(group.units), "first": names[0], "last": names[1]}


def _rule_lines(timed: "RuleCosts | None") -> list[str]:
    if timed is None:
        return ["rules : none of the slowest files can be read now"]
    return [
        f"rules : {timed.all_ms:.1f} ms for all of them in the slowest files, scanned again just now",
        *(f"rule : {group.ms:.1f} ms {group.units[0].name}" for group in timed.rules[:_RULES_SHOWN]),
        *(
            f"rules : {group.ms:.1f} ms {len(group.units)} rules, {group.units[0].name} to {group.units[-1].name}"
            for group in timed.groups[:_RULES_SHOWN]
        ),
    ]

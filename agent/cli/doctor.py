"""`buckler doctor`: what is wrong with this device, what that means, and exactly what to do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.invocation import Common, ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import note, say, say_json
from agent.domain.errors import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.support.checkup import CheckResult, Report

#: So that a column of them lines up.
_WIDTH = 7


def doctor(
    context: typer.Context,
    *,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Mend what can be mended here, then look again; without it nothing is changed."),
    ] = False,
    check: Annotated[
        list[str] | None, typer.Option("--check", metavar="NAME", help="Only this check-up; may be repeated.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", metavar="HOST:PORT", help="Look at the way there; default: where this device belongs."
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Its certificate authority, PEM; default: as activated.")
    ] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Look for what is wrong, and say what to do. The exit status is 1 when a check-up fails.

    Works without a network, an agent or an activation, and changes nothing unless --fix is given.
    """
    from agent.cli.doctor_wiring import Target, surroundings_of
    from agent.support.check_list import ALL
    from agent.support.doctor import Doctor

    common = common_options(context, output, data_dir, config)
    wanted = tuple(check or ())
    names = [each.name for each in ALL]
    for name in wanted:
        if name not in names:
            raise typer.BadParameter(f"there is no check-up {name!r}; choose from {', '.join(names)}")
    tell: Callable[[CheckResult], None] = (lambda _: None) if common.as_json else _tell_line
    report = Doctor(surroundings_of(common, Target(server, ca)), ALL).examine(wanted, fix=fix, tell=tell)
    if common.as_json:
        say_json(_record(report))
    else:
        _say_summary(report)
    if report.has_failures:
        raise typer.Exit(int(ExitStatus.NEGATIVE))


def explain_failed_activation(common: Common, code: str, server: str | None, ca: Path | None) -> None:
    """Run what can explain why an activation failed; each result is told on standard error as it comes.

    Args:
        common: Where this device's things are.
        code: What the activation ended with.
        server: As it was given.
        ca: As it was given.
    """
    from agent.support.check_list import ALL, checks_after

    wanted = checks_after(code)
    if not wanted or common.as_json:
        # A program reads one object; it can ask `buckler doctor` for the rest.
        return
    from agent.cli.doctor_wiring import Target, surroundings_of
    from agent.support.doctor import Doctor

    note("Looking for the cause:")
    report = Doctor(surroundings_of(common, Target(server, ca)), ALL).examine(wanted, tell=_note_line)
    matters = [result for result in report.results if _matters(result)]
    for result in matters:
        _tell_advice(result, note)
    if not matters:
        note("Nothing on this device is in the way; what counts is said above.")


def checkup_record(common: Common) -> dict[str, Any]:
    """What all check-ups say, for a diagnostics bundle."""
    from agent.cli.doctor_wiring import surroundings_of
    from agent.support.check_list import ALL
    from agent.support.doctor import Doctor

    return _record(Doctor(surroundings_of(common), ALL).examine())


def _tell_line(result: "CheckResult") -> None:
    say(_line(result))


def _note_line(result: "CheckResult") -> None:
    """What does not apply to a device that is just being activated would bury the rest."""
    if result.code != "UNKNOWN":
        note(_line(result))


def _line(result: "CheckResult") -> str:
    code = "" if result.code in {"OK", "UNKNOWN"} else f"{result.code}: "
    return f"{result.status.value:<{_WIDTH}} {result.check}: {code}{result.evidence}"


def _say_summary(report: "Report") -> None:
    for name, done in report.fixed.items():
        say(f"--fix   {name}: {done}")
    for result in report.results:
        if _matters(result):
            say("")
            _tell_advice(result, say)
    say("")
    counts = report.counts()
    say(", ".join(f"{number} {status}" for status, number in counts.items()))


def _matters(result: "CheckResult") -> bool:
    from agent.support.checkup import Status

    return result.status in {Status.FAILING, Status.WARNING}


def _tell_advice(result: "CheckResult", tell: "Callable[[str], None]") -> None:
    lines = [
        f"{result.code} ({result.status.value})",
        f"  seen      : {result.evidence}",
        f"  protection: {result.effect}",
        f"  who       : {result.fixer.value if result.fixer else 'nobody has to'}",
        f"  next      : {result.next_step}",
    ]
    if result.fixable:
        lines.append("  --fix     : can do it")
    for line in lines:
        tell(line)


def _record(report: "Report") -> dict[str, object]:
    return {
        "first_code": report.first_code,
        "healthy": not report.has_failures,
        "counts": report.counts(),
        "fixed": dict(report.fixed),
        "results": [result.record() for result in report.results],
    }

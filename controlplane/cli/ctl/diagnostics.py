"""`bucklerctl diagnostics`: what a device's bundle says about its trouble."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import Output, OutputOption, reporting, say, say_json
from controlplane.cli.exit_status import ExitStatus
from controlplane.cli.visible import visible

if TYPE_CHECKING:
    from controlplane.diagnostics.model import Cause, Evidence, ReadBundle

diagnostics = typer.Typer(no_args_is_help=True, help="Bundles of evidence that devices make for support.")


@diagnostics.callback()
def _group() -> None:
    """Keeps `analyze` a command of its own: Typer would fold a group of one."""


@diagnostics.command()
def analyze(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `buckler diagnostics create` wrote.")],
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell the likely causes that a bundle shows, with evidence and the next step; needs no control plane.

    The exit status is 1 when there is one, 0 when nothing was found.
    """
    with reporting(output):
        from controlplane.diagnostics.analysis import likely_causes, not_collected
        from controlplane.diagnostics.reading import read_bundle_file

        bundle = read_bundle_file(file)
        causes, missing = likely_causes(bundle), not_collected(bundle)
        if output is Output.JSON:
            say_json(_record(bundle, causes, missing))
        else:
            _say(bundle, causes, missing)
        if causes:
            raise typer.Exit(int(ExitStatus.NEGATIVE))


def _record(bundle: "ReadBundle", causes: "tuple[Cause, ...]", missing: "tuple[Evidence, ...]") -> dict[str, Any]:
    return {
        "made_at": bundle.made_at,
        "app_version": bundle.app_version,
        "causes": [
            {
                "code": cause.code,
                "certainty": cause.certainty.name.lower(),
                "sentence": cause.sentence,
                "evidence": [{"item": shown.item, "says": shown.says} for shown in cause.evidence],
                "next_step": cause.next_step,
            }
            for cause in causes
        ],
        "not_collected": [{"item": item.item, "error": item.says} for item in missing],
    }


def _say(bundle: "ReadBundle", causes: "tuple[Cause, ...]", missing: "tuple[Evidence, ...]") -> None:
    made = bundle.made_at.isoformat(timespec="seconds") if bundle.made_at else "at a time it does not tell"
    say(f"Made {made} by Buckler {visible(bundle.app_version)}.")
    for cause in causes:
        say(f"{visible(cause.code)} ({cause.certainty.name.lower()}): {visible(cause.sentence)}")
        for shown in cause.evidence:
            say(f"  {visible(shown.item)}: {visible(shown.says)}")
        say(f"  next: {visible(cause.next_step)}")
    if not causes:
        say("Nothing in it is known to be a cause of trouble.")
    for item in missing:
        say(f"not collected: {visible(item.item)}: {visible(item.says)}")

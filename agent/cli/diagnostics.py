"""`buckler diagnostics`: a bundle of evidence for support, and what would be in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.doctor import checkup_record
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json, say_lines, say_table
from agent.domain.errors import ExitStatus

if TYPE_CHECKING:
    from agent.support.diagnostics.bundle import Bundle

diagnostics_app = typer.Typer(
    help="Gather evidence for support. Secrets and names are taken out.", no_args_is_help=True
)


@diagnostics_app.callback()
def _group() -> None:
    """Keeps `create` a command of its own: Typer would fold a group of one."""


@diagnostics_app.command()
def create(
    context: typer.Context,
    *,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it here; must not exist yet.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Write nothing: tell what would be in it.")] = False,
    item: Annotated[
        str | None, typer.Option("--item", metavar="NAME", help="With --preview: print this item as it would be sent.")
    ] = None,
    hide_paths: Annotated[
        bool, typer.Option("--hide-paths", help="Also take out names of files and folders below home folders.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Gather logs, status, settings, scan costs, crash reports and versions into a zip. Works without an agent.

    What cannot be had is told in the bundle, and the rest is there; the exit status is 3 then.
    """
    from agent.cli.diagnostics_wiring import make_bundle
    from agent.support.diagnostics.bundle import refuse_to_overwrite
    from agent.support.redaction import RedactionPolicy

    common = common_options(context, output, data_dir, config)
    if item is not None and not preview:
        raise typer.BadParameter("--item belongs to --preview")
    if to is not None and not preview:
        # Said before a minute of work, not after it; the file itself is made so that it cannot be overwritten.
        refuse_to_overwrite(to)
    bundle = make_bundle(common, RedactionPolicy(below_homes=hide_paths), lambda: checkup_record(common), item)
    if item is not None:
        say_lines(_item_text(bundle))
        return
    size = None if preview else _write(bundle, to)
    if common.as_json:
        say_json(bundle.manifest() | ({"file": str(size[0]), "size": size[1]} if size else {}))
    else:
        _say_items(bundle)
        say(_ending(size))
    if bundle.failed:
        raise typer.Exit(int(ExitStatus.INCOMPLETE))


def _write(bundle: "Bundle", to: Path | None) -> tuple[Path, int]:
    from agent.support.diagnostics.bundle import write_bundle

    path = to or Path(f"buckler-diagnostics-{bundle.made_at:%Y%m%dT%H%M%SZ}.zip")
    return path, write_bundle(bundle, path)


def _item_text(bundle: "Bundle") -> str:
    (item,) = bundle.items
    return item.text or f"{item.status.value}: {item.error}"


def _say_items(bundle: "Bundle") -> None:
    rows = [
        (item.name, item.status.value, str(item.size_bytes), str(sum(item.redactions.values())), item.step)
        for item in bundle.items
    ]
    say_table(("ITEM", "STATUS", "BYTES", "TAKEN OUT", "STEP"), rows)
    for item in bundle.items:
        if item.error:
            say(f"{item.name} : {item.error}")
    taken = ", ".join(f"{count} {kind}" for kind, count in bundle.manifest()["redaction"]["taken"].items())
    say(f"taken out : {taken or 'nothing'}")


def _ending(written: "tuple[Path, int] | None") -> str:
    if written is None:
        return "Nothing was written or sent. See one item as it would be sent with --item NAME."
    return f"{written[0]} : {written[1]} bytes. Nothing was sent; look into it, then give it to support."

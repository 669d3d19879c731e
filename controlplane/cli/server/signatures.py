"""`buckler-server signatures`: rules of others, taken in, judged and built into bundles."""

import asyncio
import sysconfig
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.cli.visible import visible
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.private_files import write_public
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controlplane.releases.model import RulePack
    from controlplane.releases.selection import Selection
    from controlplane.releases.service import BuiltBundle, SignatureLibrary

signatures = typer.Typer(no_args_is_help=True, help="Rules of others: import, judge, build into bundles.")

#: Lines of a kind that text output shows; JSON has all.
_SHOWN = 20


@signatures.command("import")
def import_pack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the pack.")],
    source: Annotated[Path, typer.Argument(metavar="FILE|DIR|ZIP", help="Its rules.")],
    data_dir: DataDirOption,
    *,
    licence: Annotated[str, typer.Option(help="Short name; left out: told by its licence file.")] = "",
    attribution: Annotated[str, typer.Option(help="Whom to credit; left out: told by its licence file.")] = "",
    clean: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            help="Clean software to try it on; left out: the Python packages of this program.",
        ),
    ] = None,
    clean_check: Annotated[
        bool, typer.Option("--clean-check/--no-clean-check", help="Try it on clean software.")
    ] = True,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take a pack in, with its licence; say what does not compile and what it finds in clean software."""
    with reporting(output):
        from controlplane.releases.intake import read_pack

        config = read_config(data_dir.absolute())
        intake = read_pack(source, licence=licence, attribution=attribution)
        folders = tuple(folder.absolute() for folder in clean or [Path(sysconfig.get_path("purelib"))])

        async def run() -> "tuple[RulePack, ...]":
            async with _library(config) as library:
                await library.import_pack(name, intake, folders if clean_check else ())
                return await library.packs()

        _show_pack(name, asyncio.run(run()), output)


@signatures.command("list")
def list_packs(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """List the packs there are."""
    with reporting(output):
        import json

        from controlplane.cli.ctl.output import say_table

        config = read_config(data_dir.absolute())

        packs = asyncio.run(_packs(config))
        selection = _selection(packs)
        rows = [_summary(pack, selection) for pack in packs]
        if output is Output.JSON:
            typer.echo(json.dumps(rows))
        elif not rows:
            typer.echo("There are no packs. Import one: buckler-server signatures import NAME FILE|DIR|ZIP")
        else:
            columns = ("name", "version", "licence", "rules", "left_out", "attribution")
            say_table(columns, [[str(row[column]) for column in columns] for row in rows], whole=["name"])


@signatures.command("show")
def show_pack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")],
    data_dir: DataDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show a pack: licence, what does not compile, what is noisy, what others have too."""
    with reporting(output):
        config = read_config(data_dir.absolute())

        _show_pack(name, asyncio.run(_packs(config)), output)


@signatures.command("remove")
def remove_pack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")],
    data_dir: DataDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Forget a pack; bundles that hold it stay what they are."""
    with reporting(output):
        config = read_config(data_dir.absolute())

        async def run() -> None:
            async with _library(config) as library:
                await library.remove(name)

        asyncio.run(run())
        show(output, {"name": name, "outcome": "removed"})


@signatures.command("build")
def build(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write, a zip archive.")],
    data_dir: DataDirOption,
    *,
    name: Annotated[str, typer.Option(help="Of the bundle.")] = "third-party",
    version: Annotated[str, typer.Option(help="Of the bundle; left out: today's date.")] = "",
    pack: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this pack; repeatable.")] = None,
    keep_clean_hits: Annotated[
        bool, typer.Option("--keep-clean-hits", help="Keep rules that find something in clean software.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Build a bundle for `buckler scan --rules` and for `rules` in the configuration of agents."""
    with reporting(output):
        from controlplane.runtime.clock import SystemClock

        config = read_config(data_dir.absolute())
        chosen_version = version or f"{SystemClock().now():%Y.%m.%d}"

        async def run() -> "BuiltBundle":
            async with _library(config) as library:
                return await library.build(name, chosen_version, pack or (), keep_clean_hits=keep_clean_hits)

        built = asyncio.run(run())
        _write(file, built.content)
        reasons = Counter(item.reason.value for item in built.selection.left_out)
        show(
            output,
            {
                "file": str(file),
                "bundle": f"{name}-{chosen_version}",
                "bytes": len(built.content),
                "packs": ", ".join(item.name for item in built.packs),
                "rules": built.selection.rule_count,
                "left_out": dict(reasons) if output is Output.JSON else _told(reasons),
            },
            hints=(f"Try it: buckler scan --rules {file} FOLDER",),
        )


@asynccontextmanager
async def _library(config: ServerConfig) -> "AsyncIterator[SignatureLibrary]":
    from controlplane.releases.judging import ScannerJudge
    from controlplane.releases.service import SignatureLibrary
    from controlplane.serving import opened

    async with opened(config) as server:
        yield SignatureLibrary(server.plane.database, server.plane.clocks.business, ScannerJudge())


async def _packs(config: ServerConfig) -> "tuple[RulePack, ...]":
    async with _library(config) as library:
        return await library.packs()


def _selection(packs: "tuple[RulePack, ...]") -> "Selection":
    from controlplane.releases.selection import select_rules

    return select_rules(packs)


def _summary(pack: "RulePack", selection: "Selection") -> dict[str, Any]:
    left_out = Counter(item.reason.value for item in selection.left_out if item.pack == pack.name)
    return {
        "name": pack.name,
        "version": pack.version,
        "licence": pack.intake.licence,
        "attribution": pack.intake.attribution,
        "source": pack.intake.source,
        "imported_at": pack.imported_at.isoformat(),
        "files": len(pack.intake.files),
        "rules": len(pack.compiled.rules),
        "left_out": _told(left_out),
        "clean_files": pack.clean.files,
        "clean_folders": ", ".join(pack.clean.folders) or None,
    }


def _show_pack(name: str, packs: "tuple[RulePack, ...]", output: Output) -> None:
    from controlplane.releases.selection import Reason
    from controlplane.releases.service import named

    pack, selection = named(packs, name), _selection(packs)
    summary = _summary(pack, selection)
    prefix = f"{pack.name}/"
    conflicts = [item for item in selection.conflicts if any(place.startswith(prefix) for place in item.places)]
    left_out = [item for item in selection.left_out if item.pack == pack.name]
    if output is Output.JSON:
        lists = {
            "problems": [asdict(problem) for problem in pack.compiled.problems],
            "clean_hits": [asdict(hit) for hit in pack.clean.hits],
            "rules_left_out": [
                {"rule": item.rule, "path": item.path, "reason": item.reason.value, "because": item.because}
                for item in left_out
            ],
            "name_conflicts": [{"rule": item.name, "places": list(item.places)} for item in conflicts],
        }
        show(output, summary | lists)
        return
    lines = [
        f"does not compile: {p.path}, line {p.line}: {p.rule or 'the whole file'}: {p.reason}"
        for p in pack.compiled.problems
    ]
    lines += [
        f"hits clean software: {h.rule} ({h.severity}, {h.path}): {h.files} files, e.g. {h.example}"
        for h in pack.clean.hits
    ]
    lines += [
        f"repeats: {item.rule} ({item.path}) is {item.because}" for item in left_out if item.reason is Reason.DUPLICATE
    ]
    lines += [f"same name, other rule: {item.name} in {', '.join(item.places)}; all are kept" for item in conflicts]
    more = [f"and {len(lines) - _SHOWN} more: --output json"] if len(lines) > _SHOWN else []
    show(output, summary, hints=(*map(visible, lines[:_SHOWN]), *more))


def _told(reasons: Counter[str]) -> str:
    return ", ".join(f"{times} {reason.replace('_', ' ')}" for reason, times in sorted(reasons.items())) or "none"


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    try:
        write_public(file, content)
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "BUNDLE_UNWRITABLE",
            f"the bundle {file} cannot be written: {error.strerror}",
            "Check the folder, its permissions and the room on the disk",
            facts={"file": str(file)},
        ) from error

"""`buckler-server catalog`: what is on sale, and when."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.named_files import opened
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config

if TYPE_CHECKING:
    from controlplane.catalog.difference import Difference
    from controlplane.catalog.document import Catalog
    from controlplane.catalog.service import Applied

catalog = typer.Typer(no_args_is_help=True, help="Plans on sale.")


@catalog.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="A catalog in TOML.")],
    data_dir: DataDirOption,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what it would change.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish a catalog. Applying the same file again changes nothing; a version in use is never changed."""
    with reporting(output):
        config = read_config(data_dir.absolute())
        content = _read(file)
        applied, difference = asyncio.run(_apply(config, content, keep=not dry_run))
        plans = [plan.plan_id for plan in content.plans]
        hints = _lines(difference)
        answer: dict[str, Any] = {
            "version": content.version,
            "outcome": applied.value,
            "dry_run": dry_run,
            "valid_from": None if content.valid_from is None else content.valid_from.isoformat(),
            "plans": plans if output is Output.JSON else ", ".join(plans),
        }
        if output is Output.JSON:
            answer |= {
                "added": difference.added,
                "removed": difference.removed,
                "changed": {plan_id: list(changes) for plan_id, changes in difference.changed.items()},
            }
        show(output, answer, hints=() if output is Output.JSON else hints)


@catalog.command("list")
def list_versions(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every version: since when it is or will be on sale, and how many subscriptions have it."""
    with reporting(output):
        versions = asyncio.run(_versions(read_config(data_dir.absolute())))
        if output is Output.JSON:
            show(output, {"versions": versions})
            return
        for version in versions:
            typer.echo(
                f"version {version['version']:<5} {version['state']:<9} from {version['valid_from']}  "
                f"{version['plans']} plans, {version['subscriptions']} subscriptions"
            )


def _read(file: Path) -> "Catalog":
    from controlplane.catalog.document import read_catalog

    with opened(file, code="CATALOG_UNREADABLE", called="the catalog ") as content:
        return read_catalog(content.read())


async def _apply(config: ServerConfig, content: "Catalog", *, keep: bool) -> "tuple[Applied, Difference]":
    from controlplane.catalog.difference import difference
    from controlplane.serving import opened

    async with opened(config) as server, server.plane.database.transaction() as uow:
        on_sale = await server.plane.catalog.plans_on_sale(uow.connection)
        applied = await server.plane.catalog.apply(uow, content)
        if not keep:
            # A rehearsal is the real thing, taken back: it meets whatever the real thing would meet.
            await uow.connection.rollback()
        return applied, difference(on_sale, content.plans)


async def _versions(config: ServerConfig) -> list[dict[str, Any]]:
    from controlplane.serving import opened

    async with opened(config) as server, server.plane.database.reading() as connection:
        plane = server.plane
        now = plane.clocks.business.now()
        published = await plane.catalog.versions(connection)
        used = await plane.subscriptions.count_by_version(connection)
        on_sale = max((each.version for each in published if each.valid_from <= now), default=0)
        return [
            {
                "version": each.version,
                "state": "on sale" if each.version == on_sale else "upcoming" if each.valid_from > now else "past",
                "valid_from": each.valid_from.isoformat(timespec="seconds"),
                "applied_at": each.applied_at.isoformat(timespec="seconds"),
                "plans": each.plans,
                "subscriptions": used.get(each.version, 0),
            }
            for each in published
        ]


def _lines(difference: "Difference") -> tuple[str, ...]:
    return (
        *(f"new: {plan_id}" for plan_id in difference.added),
        *(f"not sold any more: {plan_id}" for plan_id in difference.removed),
        *(f"{plan_id}: {change}" for plan_id, changes in difference.changed.items() for change in changes),
    )

"""`buckler-server catalog`: what is on sale."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.catalog.document import Catalog
    from controlplane.catalog.service import Applied

catalog = typer.Typer(no_args_is_help=True, help="Plans on sale.")


@catalog.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="A catalog in TOML.")],
    data_dir: DataDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish a catalog. Applying the same file again changes nothing; a version in use is never changed."""
    with reporting(output):
        config = read_config(data_dir.absolute())
        content = _read(file)
        applied = asyncio.run(_apply(config, content))
        show(
            output,
            {
                "version": content.version,
                "outcome": applied.value,
                "plans": [plan.plan_id for plan in content.plans]
                if output is Output.JSON
                else ", ".join(plan.plan_id for plan in content.plans),
            },
        )


def _read(file: Path) -> "Catalog":
    from controlplane.catalog.document import read_catalog

    try:
        return read_catalog(file.read_bytes())
    except OSError as error:
        raise Refusal(
            Kind.INVALID,
            "CATALOG_UNREADABLE",
            f"the catalog {file} cannot be read: {error.strerror}",
            "Check the path and its permissions",
            facts={"file": str(file)},
        ) from error


async def _apply(config: ServerConfig, content: "Catalog") -> "Applied":
    from controlplane.serving import opened

    async with opened(config) as server, server.plane.database.transaction() as uow:
        return await server.plane.catalog.apply(uow, content)

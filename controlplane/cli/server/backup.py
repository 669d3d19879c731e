"""`buckler-server backup` and `restore`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import DataDir, read_config


def backup(
    data_dir: DataDirOption,
    folder: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is not there yet.")],
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Copy database, keys and settings into a folder, while the server serves. Keep it as you keep the keys."""
    with reporting(output):
        from controlplane.backup import back_up

        manifest = asyncio.run(back_up(read_config(data_dir.absolute()), folder.absolute()))
        answer = {
            "folder": str(folder.absolute()),
            "made_at": manifest.made_at.isoformat(),
            "schema": manifest.schema,
            "files": len(manifest.files),
        }
        show(output, answer)


def restore(
    data_dir: DataDirOption,
    folder: Annotated[Path, typer.Argument(metavar="SRC", help="What `backup` made.", exists=True, file_okay=False)],
    *,
    database_url: Annotated[
        str | None,
        typer.Option(help="Of an empty PostgreSQL, if the back-up is of one; by default as its settings say."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Restore an installation from a back-up, into a folder that holds none. Devices need not be changed."""
    with reporting(output):
        from controlplane.backup import restore as restore_installation
        from controlplane.storage.schema import newest_revision

        manifest = asyncio.run(
            restore_installation(folder.absolute(), DataDir(data_dir.absolute()), database_url or None)
        )
        answer = {
            "data_dir": str(data_dir.absolute()),
            "made_at": manifest.made_at.isoformat(),
            "schema": manifest.schema,
        }
        outdated = manifest.schema != newest_revision()
        hints = (f"Next: buckler-server migrate --data-dir {data_dir.absolute()}",) if outdated else ()
        show(output, answer, hints=(*hints, f"Then: buckler-server serve --data-dir {data_dir.absolute()}"))

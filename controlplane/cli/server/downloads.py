"""`buckler-server downloads`: what people install, and where they get it."""

import asyncio
import hashlib
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.named_files import opened
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config

if TYPE_CHECKING:
    from controlplane.downloads.model import DownloadTable

downloads = typer.Typer(no_args_is_help=True, help="Builds that people install.")


@downloads.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(help="A download table in TOML.")],
    data_dir: DataDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish a download table. Applying the same file again changes nothing."""
    with reporting(output):
        from controlplane.downloads.document import read_downloads

        config = read_config(data_dir.absolute())
        with _named(file) as content:
            table = read_downloads(content.read())
        changed = asyncio.run(_apply(config, table))
        show(
            output,
            {
                "version": table.version,
                "outcome": "published" if changed else "unchanged",
                "artifacts": len(table.artifacts),
                "stores": len(table.stores),
            },
        )


@downloads.command("describe")
def describe(
    file: Annotated[Path, typer.Argument(help="A package, as it will be served.")],
    *,
    url: Annotated[str, typer.Option(help="Where people will get it.")],
    os: Annotated[str, typer.Option(help="linux, macos or windows.")],
    architecture: Annotated[str, typer.Option(help="Of the processor: x86_64, aarch64.")],
    version: Annotated[str, typer.Option(help="Of Buckler.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the entry of a file for the download table, with its size and hash."""
    with reporting(output):
        from controlplane.downloads.document import read_downloads

        with _named(file) as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            size = content.tell()
        entry: dict[str, str | int] = {
            "os": os,
            "architecture": architecture,
            "version": version,
            "format": _format(file),
            "url": url,
            "sha256": sha256,
            "size_bytes": size,
        }
        lines = [f"{name} = {_toml(value)}" for name, value in entry.items()]
        # What is printed can be applied.
        read_downloads("\n".join(["version = 1", "[[artifacts]]", *lines]).encode())
        if output is Output.JSON:
            show(output, entry)
            return
        typer.echo("\n".join(["[[artifacts]]", *lines]))


async def _apply(config: ServerConfig, table: "DownloadTable") -> bool:
    from controlplane.serving import opened

    async with opened(config) as server, server.plane.database.transaction() as uow:
        return await server.plane.downloads.apply(uow, table)


def _named(file: Path) -> AbstractContextManager[BufferedReader]:
    return opened(file, code="DOWNLOADS_UNREADABLE", called="the file ")


def _format(file: Path) -> str:
    suffix = file.suffix.removeprefix(".").lower()
    return "wheel" if suffix == "whl" else suffix


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

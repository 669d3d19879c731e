"""`bucklerctl download`: the build that fits a machine, or why none does."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)
from controlplane.cli.named_files import opened
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from wire.v1 import download_pb2

download = typer.Typer(no_args_is_help=True, help="What to install where.")


@download.command("list")
def list_downloads(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every build that can be had."""
    with reporting(output):
        answer = _everything(config_dir)
        found = [*map(_artifact_row, answer.artifacts), *map(_store_row, answer.stores)]
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                each["os"],
                each["architecture"],
                each["libc"],
                each["version"],
                each["format"],
                each["needs"],
                each["url"],
            ]
            for each in found
        ]
        say_table(["os", "processor", "libc", "version", "format", "needs", "address"], rows, whole=["address"])


@download.command("resolve")
def resolve_download(
    config_dir: ConfigDirOption,
    *,
    os: Annotated[str, typer.Option(help="System; left out: this machine, with all that is known of it.")] = "",
    architecture: Annotated[str, typer.Option(help="Processor.")] = "",
    os_version: Annotated[str, typer.Option(help="Version of the system.")] = "",
    libc: Annotated[str, typer.Option(help="C library of a Linux, with its version: glibc-2.31, musl.")] = "",
    version: Annotated[str, typer.Option(help="Of Buckler; left out: the newest that fits.")] = "",
    format: Annotated[str, typer.Option(help="deb, wheel, pkg, msi.")] = "",  # noqa: A002 -- the option's name
    output: OutputOption = Output.TEXT,
) -> None:
    """The newest build that fits a machine: where it is, and the hash that its bytes must have."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.download_pb2 import GetDownloadRequest
        from wire.v1.download_pb2_grpc import DownloadServiceStub

        libc_name, _, libc_version = libc.partition("-")
        asked = {
            "os": os,
            "architecture": architecture,
            "os_version": os_version,
            "libc": libc_name,
            "libc_version": libc_version,
        }
        machine = asked if os else {**_this_machine(), **{name: value for name, value in asked.items() if value}}
        with connected(load_session(config_dir)) as connection:
            stub = DownloadServiceStub(connection.channel)
            wanted = GetDownloadRequest(**machine, version=version, format=format)
            answer = connection.call(stub.GetDownload, wanted)
        row = _resolved_row(answer)
        if answer.held_back:
            note(f"It is not the newest: {answer.held_back}.")
        if answer.unchecked:
            note(f"Not known of the machine, and needed: {', '.join(answer.unchecked)}.")
        if not answer.features:
            note(f"Your subscription does not cover {row['os']}: bucklerctl subscription show")
        if output is Output.JSON:
            say_json(row)
            return
        say_fields({name: _shown(value) for name, value in row.items() if value not in (None, "", [])})


@download.command("check")
def check_download(
    file: Annotated[Path, typer.Argument(help="What was downloaded.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Whether a file is a build of Buckler, unaltered, and which one."""
    with reporting(output):
        with opened(file, code="FILE_UNREADABLE") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        answer = _everything(config_dir)
        known = next((each for each in answer.artifacts if each.sha256 == sha256), None)
        if known is None:
            raise Refusal(
                Kind.PRECONDITION,
                "DOWNLOAD_NOT_OURS",
                f"{file} is none of the builds there are, or was altered on its way",
                "Do not install it; get it again: bucklerctl download resolve",
                facts={"sha256": sha256},
            )
        row = _artifact_row(known)
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{file} is Buckler {known.version} for {known.os} on {known.architecture}, unaltered.")


def _everything(config_dir: Path) -> "download_pb2.ListDownloadsResponse":
    from controlplane.cli.ctl.connection import connected
    from controlplane.cli.ctl.session import load_session
    from wire.v1.download_pb2 import ListDownloadsRequest
    from wire.v1.download_pb2_grpc import DownloadServiceStub

    with connected(load_session(config_dir)) as connection:
        stub = DownloadServiceStub(connection.channel)
        return connection.call(stub.ListDownloads, ListDownloadsRequest())


def _this_machine() -> dict[str, str]:
    import platform

    system = platform.system()
    libc, libc_version = platform.libc_ver() if system == "Linux" else ("", "")
    release = platform.mac_ver()[0] if system == "Darwin" else platform.version()
    return {
        "os": system,
        "architecture": platform.machine(),
        "os_version": "" if system == "Linux" else release,
        # Python tells only of glibc; a Linux without it is musl's in practice, but that is a guess.
        "libc": libc,
        "libc_version": libc_version,
    }


def _artifact_row(each: "download_pb2.Artifact") -> dict[str, Any]:
    return {
        "os": each.os,
        "architecture": each.architecture,
        "libc": each.libc,
        "version": each.version,
        "format": each.format,
        "needs": each.needs,
        "url": each.url,
        "sha256": each.sha256,
        "size_bytes": each.size_bytes,
    }


def _store_row(each: "download_pb2.StoreLink") -> dict[str, Any]:
    row = dict.fromkeys(("os", "architecture", "libc", "version", "format", "needs", "url"), "")
    return {**row, "os": each.os, "format": "store", "needs": each.needs, "url": each.url}


def _resolved_row(answer: "download_pb2.GetDownloadResponse") -> dict[str, Any]:
    in_store = answer.WhichOneof("found") == "store"
    row = _store_row(answer.store) if in_store else _artifact_row(answer.artifact)
    return {**row, "covered": bool(answer.features), "features": list(answer.features)}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

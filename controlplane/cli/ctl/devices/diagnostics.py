"""`bucklerctl diagnostics`: ask devices for bundles, fetch them, and see what they say about the trouble."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.asking import Ask, WaitOption, ask_device, show_asked
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    LimitOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    say_table,
)
from controlplane.cli.exit_status import ExitStatus
from controlplane.cli.visible import visible

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from controlplane.diagnostics.model import Cause, Evidence, ReadBundle

diagnostics = typer.Typer(no_args_is_help=True, help="Bundles of evidence that devices make for support.")


@diagnostics.command("request")
def request_bundle(
    device_id: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device: bucklerctl device list.")],
    config_dir: ConfigDirOption,
    *,
    reason: Annotated[str, typer.Option(help="Why; the device and the audit keep it.")],
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Ask a device for a bundle; one that is off sends it when it returns. Its own policy decides whether."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session

        with connected(load_session(config_dir)) as connection:
            row = ask_device(connection, Ask(device_id, "diagnostics", {}, reason, idempotency_key, wait))
        show_asked(row, output)


@diagnostics.command("list")
def list_bundles(
    config_dir: ConfigDirOption,
    *,
    device: Annotated[str, typer.Option(help="Only of this device id.")] = "",
    limit: LimitOption = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """Bundles that were asked for, the newest first, and how far they are."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import bundle_row
        from wire.v1.diagnostics_pb2 import ListBundlesRequest
        from wire.v1.diagnostics_pb2_grpc import DiagnosticsServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = DiagnosticsServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListBundles, ListBundlesRequest(page=page, device_id=device)),
                lambda answer: map(bundle_row, answer.bundles),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        _show_list(found)


def _show_list(found: list[dict[str, Any]]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.runtime.clock import SystemClock

    if not found:
        say("No device was asked for a bundle.")
        return
    now = SystemClock().now()
    rows = [
        [
            ago(each["requested_at"], now),
            each["device_name"],
            each["state"],
            f"{each['received_bytes']}/{each['size']}" if each["size"] else "",
            each["code"] or each["reason"],
            each["bundle_id"],
        ]
        for each in found
    ]
    say_table(["when", "device", "state", "bytes", "why", "id"], rows, whole=["id"])


@diagnostics.command("download")
def download_bundle(
    bundle_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the bundle: bucklerctl diagnostics list.")],
    config_dir: ConfigDirOption,
    *,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it here; must not exist yet.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Fetch a bundle that is ready; the audit says who did."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session

        path = to or Path(f"{bundle_id}.zip")
        with connected(load_session(config_dir)) as connection:
            content = _fetched(connection, bundle_id)
        _write(path, content)
        if output is Output.JSON:
            say_json({"bundle_id": bundle_id, "file": str(path), "size": len(content)})
            return
        say(f"{path} : {len(content)} bytes. Look into it with: bucklerctl diagnostics analyze {path}")


def _fetched(connection: "Connection", bundle_id: str) -> bytes:
    from controlplane.diagnostics.errors import bundle_damaged
    from wire.v1.diagnostics_pb2 import ReadBundleRequest
    from wire.v1.diagnostics_pb2_grpc import DiagnosticsServiceStub

    stub, content = DiagnosticsServiceStub(connection.channel), b""
    while True:
        piece = connection.call(stub.ReadBundle, ReadBundleRequest(command_id=bundle_id, offset=len(content)))
        content += piece.content
        if len(content) >= piece.total_bytes or not piece.content:
            break
    if hashlib.sha256(content).digest() != piece.sha256:
        raise bundle_damaged()
    return content


def _write(path: Path, content: bytes) -> None:
    from controlplane.diagnostics.errors import file_not_written

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise file_not_written(str(path), error.strerror or type(error).__name__) from error


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

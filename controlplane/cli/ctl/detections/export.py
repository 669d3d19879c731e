"""`bucklerctl detection export`: detections for a SIEM, each once."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.ctl.output import ConfigDirOption, LimitOption, Output, reporting, say
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.fleet_pb2 import Detection

PAGE_SIZE = 500


class ExportFormat(Enum):
    """What SIEMs read."""

    JSONL = "jsonl"
    CEF = "cef"


def export_detections(
    config_dir: ConfigDirOption,
    *,
    form: Annotated[ExportFormat, typer.Option("--format", help="JSON Lines, or CEF for syslog.")] = ExportFormat.JSONL,
    since: Annotated[str, typer.Option(help="Only those received since then: 90m, 24h, 7d.")] = "",
    cursor: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Go on where this file says, and write into it where the export ended."),
    ] = None,
    limit: LimitOption = 1_000_000,
) -> None:
    """Detections for a SIEM, the oldest first, one per line. What is younger than ten seconds comes with the next."""
    with reporting(Output.TEXT):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.detections.cef import cef_line
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import detection_row

        release = version("buckler")
        start = since_of(since)
        with connected(load_session(config_dir)) as connection:
            for rows, token in _pages(connection, start, _read(cursor), limit):
                for each in rows:
                    row = detection_row(each)
                    say(
                        cef_line(row, release)
                        if form is ExportFormat.CEF
                        else json.dumps(row, default=datetime.isoformat)
                    )
                # After its rows are out: an export that is interrupted repeats a page, it never leaves one out.
                if cursor is not None:
                    _write(cursor, token)


def since_of(text: str) -> datetime | None:
    """The beginning of a span that ends now; None: no span was given.

    Raises:
        Refusal: `SPAN_INVALID`.
    """
    from controlplane.cli.ctl.moments import parse_span
    from controlplane.runtime.clock import SystemClock

    if not text:
        return None
    span = parse_span(text)
    if span is None:
        raise Refusal(Kind.INVALID, "SPAN_INVALID", f"{text!r} is not a span of time", "Write it like 90m, 24h or 7d")
    return SystemClock().now() - span


def _pages(
    connection: "Connection", since: datetime | None, token: str, limit: int
) -> Iterator[tuple[list["Detection"], str]]:
    from controlplane.storage.microseconds import to_microseconds
    from wire.v1.common_pb2 import PageRequest
    from wire.v1.fleet_pb2 import ListDetectionsRequest
    from wire.v1.fleet_pb2_grpc import FleetServiceStub

    stub = FleetServiceStub(connection.channel)
    request = ListDetectionsRequest(
        page=PageRequest(page_token=token),
        since_at_us=0 if since is None else max(1, to_microseconds(since)),
        oldest_first=True,
    )
    left = limit
    while left > 0:
        request.page.page_size = min(left, PAGE_SIZE)
        answer = connection.call(stub.ListDetections, request)
        if not answer.detections:
            return
        yield list(answer.detections), answer.next_page_token
        left -= len(answer.detections)
        request.page.page_token = answer.next_page_token


def _read(cursor: Path | None) -> str:
    if cursor is None or not cursor.exists():
        return ""
    return cursor.read_text(encoding="ascii", errors="replace").strip()


def _write(cursor: Path, token: str) -> None:
    """The old place or the new one, never half of it."""
    new = cursor.with_name(f"{cursor.name}.new")
    with new.open("w", encoding="ascii") as file:
        file.write(f"{token}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(cursor)

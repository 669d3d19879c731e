"""`bucklerctl notice`: what was told by mail, and whether it arrived."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from wire.v1.notice_pb2 import Notice

notice = typer.Typer(no_args_is_help=True, help="What was told by mail, and whether it arrived.")

DEFAULT_LIMIT = 100


@notice.command("list")
def list_notices(
    config_dir: ConfigDirOption, *, limit: LimitOption = DEFAULT_LIMIT, output: OutputOption = Output.TEXT
) -> None:
    """Every notice, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.notice_pb2 import ListNoticesRequest
        from wire.v1.notice_pb2_grpc import NoticeServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = NoticeServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListNotices, ListNoticesRequest(page=page)),
                lambda answer: map(_row, answer.notices),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [[each["notice_id"], local(each["queued_at"]), _state(each), each["subject"]] for each in found]
        say_table(["notice", "written", "state", "subject"], rows, whole=["notice"], empty="No notice was sent.")


@notice.command("show")
def show_notice(
    notice_id: Annotated[str, typer.Argument(metavar="NOTICE", help="Its id: bucklerctl notice list.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """One notice, as it went out."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.visible import visible
        from wire.v1.notice_pb2 import GetNoticeRequest
        from wire.v1.notice_pb2_grpc import NoticeServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = NoticeServiceStub(connection.channel)
            answer = connection.call(stub.GetNotice, GetNoticeRequest(notice_id=notice_id))
        row = {**_row(answer), "text": answer.text, "html": answer.html}
        if output is Output.JSON:
            say_json(row)
            return
        say_fields(
            {
                "to": row["recipient"] or "nobody",
                "subject": row["subject"],
                "written": local(row["queued_at"]),
                "state": _state(row),
            }
        )
        for line in ("", *row["text"].splitlines()):
            say(visible(line))


def _row(notice: "Notice") -> dict[str, Any]:
    from controlplane.cli.ctl.money_rows import amount_row
    from controlplane.cli.ctl.views import moment

    return {
        "notice_id": notice.notice_id,
        "kind": notice.kind,
        "about": notice.about,
        "recipient": notice.recipient or None,
        "subject": notice.subject,
        "state": notice.state,
        "attempts": notice.attempts,
        "last_error": notice.last_error or None,
        "queued_at": moment(notice.queued_at_us),
        "delivered_at": moment(notice.delivered_at_us),
        "announced": amount_row(notice.announced) if notice.HasField("announced") else None,
    }


def _state(row: dict[str, Any]) -> str:
    return f"{row['state']} ({row['last_error']})" if row["last_error"] else str(row["state"])

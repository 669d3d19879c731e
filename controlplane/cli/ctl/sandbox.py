"""`bucklerctl sandbox`: time travel of an organisation that was made to be tried out."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json
from controlplane.cli.instants import read_instant
from controlplane.runtime.counting import counted
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.storage.microseconds import from_microseconds, to_microseconds

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection

sandbox = typer.Typer(no_args_is_help=True, help="Time travel, in an organisation that was made for it.")

_SPAN = re.compile(r"(\d{1,6})([dhm])", re.ASCII)
_MINUTE_US = 60_000_000
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@sandbox.command("show")
def show(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """What time it is there, how far that is ahead, and when something happens next."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment

        with connected(load_session(config_dir)) as connection:
            found = _look(connection)
        now, upcoming = moment(found.now_at_us), moment(found.next_job_at_us)
        if output is Output.JSON:
            say_json(
                {
                    "org_id": found.org_id,
                    "now": now,
                    "ahead_s": found.ahead_us // 1_000_000,
                    "next_job_at": upcoming,
                    "jobs_parked": found.jobs_parked,
                }
            )
            return
        ahead = timedelta(minutes=round(found.ahead_us / _MINUTE_US))
        say(f"It is {local(now)}, {f'{ahead} ahead of the machine' if ahead else 'as on the machine'}.")
        say(f"The next job is due at {local(upcoming)}." if upcoming else "No job is waiting.")
        if found.jobs_parked:
            say(
                f"{counted(found.jobs_parked, 'job')} failed too often; the operator sees why: buckler-server jobs list"
            )


@sandbox.command("advance")
def advance(
    config_dir: ConfigDirOption,
    *,
    to: Annotated[str, typer.Option(help="Moment to go to, ISO 8601, UTC unless it says otherwise.")] = "",
    by: Annotated[str, typer.Option(help="Or how far to go, for example 400d, 36h or 90m.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Take the organisation forward in time, for good; each of its jobs on the way runs at its own instant."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment

        if bool(to) == bool(by):
            raise Refusal(
                Kind.INVALID, "SPAN_MISSING", "it takes either --to or --by", "Give one, for example --by 400d"
            )
        span, instant = (read_span(by), None) if by else (None, read_instant(to))
        with connected(load_session(config_dir)) as connection:
            present = from_microseconds(_look(connection).now_at_us)
            until = present + span if span is not None else instant or present
            if until <= present:
                raise Refusal(
                    Kind.INVALID,
                    "INSTANT_PASSED",
                    f"it is {present.isoformat(timespec='seconds')} there already: time only goes forward",
                    "Choose a later moment",
                )
            answer = _go(connection, until)
        now = moment(answer["now_at_us"])
        if output is Output.JSON:
            say_json({"now": now, "jobs_run": answer["jobs_run"], "jobs_failed": answer["jobs_failed"]})
            return
        say(f"It is {local(now)} now; {answer['jobs_run']} job(s) ran on the way.")
        if answer["jobs_failed"]:
            say(f"{answer['jobs_failed']} failed and will be tried again; the operator sees why.")


def read_span(text: str) -> timedelta:
    """Read a span such as 400d, 36h or 90m.

    Raises:
        Refusal: SPAN_INVALID.
    """
    match = _SPAN.fullmatch(text)
    if match is None or not int(match[1]):
        raise Refusal(Kind.INVALID, "SPAN_INVALID", f"{text!r} is not a span", "Write it as in 400d, 36h or 90m")
    return int(match[1]) * _UNITS[match[2]]


def _look(connection: "Connection") -> Any:
    from wire.v1.sandbox_pb2 import GetSandboxRequest
    from wire.v1.sandbox_pb2_grpc import SandboxServiceStub

    return connection.call(SandboxServiceStub(connection.channel).GetSandbox, GetSandboxRequest())


def _go(connection: "Connection", until: datetime) -> dict[str, int]:
    """Ask until it is reached; each call does a piece of the way."""
    from wire.v1.sandbox_pb2 import AdvanceClockRequest
    from wire.v1.sandbox_pb2_grpc import SandboxServiceStub

    stub, request = SandboxServiceStub(connection.channel), AdvanceClockRequest(until_at_us=to_microseconds(until))
    run = failed = 0
    while True:
        answer = connection.call(stub.AdvanceClock, request)
        run, failed = run + answer.jobs_run, failed + answer.jobs_failed
        if answer.reached:
            return {"now_at_us": answer.now_at_us, "jobs_run": run, "jobs_failed": failed}

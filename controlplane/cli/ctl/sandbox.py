"""`bucklerctl sandbox`: time travel on a server that runs with `--demo`."""

from typing import Annotated

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json
from controlplane.runtime.refusal import Kind, Refusal

sandbox = typer.Typer(no_args_is_help=True, help="Time travel, on a server that runs with --demo.")

_SECONDS_PER_HOUR = 3_600
_SECONDS_PER_DAY = 24 * _SECONDS_PER_HOUR


@sandbox.callback()
def _group() -> None:
    """Keeps `advance` a command of its own: Typer would fold a group of one."""


@sandbox.command("advance")
def advance(
    config_dir: ConfigDirOption,
    *,
    days: Annotated[int, typer.Option(min=0, max=3_653, help="Days to move forward.")] = 0,
    hours: Annotated[int, typer.Option(min=0, max=87_672, help="Hours to move forward, besides the days.")] = 0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Move the business clock forward, for good; every job on the way runs at its own instant."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment
        from wire.v1.sandbox_pb2 import AdvanceClockRequest
        from wire.v1.sandbox_pb2_grpc import SandboxServiceStub

        seconds = days * _SECONDS_PER_DAY + hours * _SECONDS_PER_HOUR
        if not seconds:
            raise Refusal(Kind.INVALID, "SPAN_MISSING", "there is no span to move by", "Give --days or --hours")
        with connected(load_session(config_dir)) as connection:
            stub = SandboxServiceStub(connection.channel)
            answer = connection.call(stub.AdvanceClock, AdvanceClockRequest(advance_s=seconds))
        now = moment(answer.now_at_us)
        if output is Output.JSON:
            say_json({"now": now, "jobs_run": answer.jobs_run})
            return
        say(f"It is {local(now)} now; {answer.jobs_run} job(s) ran on the way.")

"""`buckler-server serve`: the control plane in the foreground."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, reporting
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.observability.log_format import LogFormat

if TYPE_CHECKING:
    from controlplane.serving import ServeOptions, Serving

#: Fits the 60-second heartbeats that the published figures of other fleets speak of.
CHECK_IN_INTERVAL_S = 60


def serve(  # noqa: PLR0913 -- options of a command line
    data_dir: DataDirOption,
    *,
    listen: Annotated[str, typer.Option(help="HOST:PORT of people and activations (TLS).")] = "127.0.0.1:8443",
    device_listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of activated devices (mutual TLS); by default the next port.")
    ] = None,
    web_listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of the payment provider's webhooks (HTTP; end TLS in front of it); else none."),
    ] = None,
    monitor_listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of health and Prometheus metrics (HTTP, for your own network); else none."),
    ] = None,
    check_in_interval: Annotated[
        int, typer.Option(min=1, max=86_400, help="Seconds between the check-ins of a device.")
    ] = CHECK_IN_INTERVAL_S,
    balancer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS|NETWORK",
            envvar="BUCKLER_SERVER_BALANCERS",
            help="A balancer that writes PROXY protocol version 2 before connections to --listen; repeatable.",
        ),
    ] = None,
    announce: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]:PORT",
            envvar="BUCKLER_SERVER_ANNOUNCE",
            help="Where devices are told to connect to, if a balancer has other ports than --device-listen.",
        ),
    ] = None,
    drain: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to serve on after SIGTERM, while /readyz says 503.")
    ] = 0.0,
    log_format: Annotated[
        LogFormat | None, typer.Option(envvar="BUCKLER_SERVER_LOG_FORMAT", help="Of the log; else as in server.toml.")
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; says `serving tls=HOST:PORT mtls=HOST:PORT` on stderr when all ports answer."""
    with reporting(Output.TEXT):
        from controlplane.runtime.network.balanced import parse_balancers
        from controlplane.runtime.network.server import parse_address, parse_announced
        from controlplane.runtime.observability.logs import configure_logs
        from controlplane.serving import ServeOptions

        config = read_config(data_dir.absolute())
        options = ServeOptions(
            listen=parse_address(listen),
            device_listen=None if device_listen is None else parse_address(device_listen),
            web_listen=None if web_listen is None else parse_address(web_listen),
            monitor_listen=None if monitor_listen is None else parse_address(monitor_listen),
            check_in_interval_s=check_in_interval,
            balancers=parse_balancers(balancer or ()),
            announce=None if announce is None else parse_announced(announce),
            log_every_call=config.log.calls == "all",
            drain_s=drain,
        )
        log_format = log_format or LogFormat(config.log.format)
        configure_logs(log_format, sys.stderr)
        asyncio.run(_serve(config, options, _say if log_format is LogFormat.TEXT else _log))


async def _serve(config: ServerConfig, options: "ServeOptions", say: Callable[[str], None]) -> None:
    from controlplane.runtime.service_notice import stopping, tell_supervisor
    from controlplane.serving import serve as serve_until

    stop = asyncio.Event()

    def end() -> None:
        tell_supervisor(*stopping(options.drain_s))
        stop.set()

    def ready(serving: "Serving") -> None:
        line = str(serving)
        say(line)
        tell_supervisor("READY=1", f"STATUS={line}")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await serve_until(config, options, stop=stop, ready=ready)
    say("stopped")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _log(line: str) -> None:
    """Whoever reads JSON gets nothing else."""
    import structlog

    event, _, addresses = line.partition(" ")
    facts = dict(part.split("=", 1) for part in addresses.split())
    structlog.get_logger("controlplane.serving").info(event, **facts)

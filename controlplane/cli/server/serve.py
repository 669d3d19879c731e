"""`buckler-server serve`: the control plane in the foreground."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, configure_logs, reporting
from controlplane.config import ServerConfig, read_config

if TYPE_CHECKING:
    from controlplane.serving import ServeOptions, Serving

#: Fits the 60-second heartbeats that the published figures of other fleets speak of.
CHECK_IN_INTERVAL_S = 60


def serve(
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
) -> None:
    """Serve until SIGTERM or Ctrl-C; says `serving tls=HOST:PORT mtls=HOST:PORT` on stderr when all ports answer."""
    configure_logs()
    with reporting(Output.TEXT):
        from controlplane.runtime.server import parse_address
        from controlplane.serving import ServeOptions

        options = ServeOptions(
            listen=parse_address(listen),
            device_listen=None if device_listen is None else parse_address(device_listen),
            web_listen=None if web_listen is None else parse_address(web_listen),
            monitor_listen=None if monitor_listen is None else parse_address(monitor_listen),
            check_in_interval_s=check_in_interval,
        )
        asyncio.run(_serve(read_config(data_dir.absolute()), options))


async def _serve(config: ServerConfig, options: "ServeOptions") -> None:
    from controlplane.runtime.service_notice import tell_supervisor
    from controlplane.serving import serve as serve_until

    stop = asyncio.Event()

    def end() -> None:
        tell_supervisor("STOPPING=1")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await serve_until(config, options, stop=stop, ready=_say_ready)
    typer.echo("stopped", err=True)


def _say_ready(serving: "Serving") -> None:
    from controlplane.runtime.service_notice import tell_supervisor

    line = str(serving)
    typer.echo(line, err=True)
    tell_supervisor("READY=1", f"STATUS={line}")

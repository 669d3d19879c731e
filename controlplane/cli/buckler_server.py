"""`buckler-server`, for whoever runs the control plane. One file per command in `controlplane.cli.server`."""

import os
import sys

# gRPC's C library writes to stderr on its own; our sentences say what went wrong. Read when gRPC is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import typer

from controlplane.cli.program import end_with_program
from controlplane.cli.server.backup import backup, restore
from controlplane.cli.server.catalog import catalog
from controlplane.cli.server.detections import detections
from controlplane.cli.server.doctor import doctor
from controlplane.cli.server.downloads import downloads
from controlplane.cli.server.init import init
from controlplane.cli.server.jobs import jobs
from controlplane.cli.server.keys import keys
from controlplane.cli.server.migrate import migrate
from controlplane.cli.server.organisation import organisation
from controlplane.cli.server.retention import retention
from controlplane.cli.server.serve import serve
from controlplane.cli.server.signatures import signatures
from controlplane.cli.server.subscription import subscription
from controlplane.cli.server.transfer import transfer
from controlplane.cli.server.user import user

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs a Buckler control plane. Exit statuses: docs/exit-status.md.",
)
app.command()(init)
app.command()(serve)
app.command()(migrate)
app.command()(backup)
app.command()(restore)
app.add_typer(catalog, name="catalog")
app.add_typer(detections, name="detections")
app.add_typer(downloads, name="downloads")
app.add_typer(jobs, name="jobs")
app.add_typer(retention, name="retention")
app.add_typer(organisation, name="organisation")
app.add_typer(user, name="user")
app.add_typer(keys, name="keys")
app.add_typer(subscription, name="subscription")
app.add_typer(transfer, name="transfer")
app.add_typer(signatures, name="signatures")
app.command()(doctor)


def main() -> None:
    """Run one command and end the process with its exit status."""
    end_with_program(app, "buckler-server", sys.argv[1:])

"""`bucklerctl`, for admins, account owners and support. One file per command group in `controlplane.cli.ctl`."""

import os
import sys

# gRPC's C library writes to stderr on its own; our sentences say what went wrong. Read when gRPC is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import typer

from controlplane.cli.ctl.accounts.audit import audit
from controlplane.cli.ctl.accounts.login import login, logout, password, whoami
from controlplane.cli.ctl.accounts.organisation_export import export
from controlplane.cli.ctl.accounts.second_factor import second_factor
from controlplane.cli.ctl.accounts.token import token
from controlplane.cli.ctl.accounts.user import user
from controlplane.cli.ctl.billing.invoice import invoice
from controlplane.cli.ctl.billing.payment_method import payment_method
from controlplane.cli.ctl.billing.refund import refund
from controlplane.cli.ctl.detections.detection import detection
from controlplane.cli.ctl.detections.incident import incident
from controlplane.cli.ctl.detections.quarantine import quarantine
from controlplane.cli.ctl.devices.command import command
from controlplane.cli.ctl.devices.device import device
from controlplane.cli.ctl.devices.diagnostics import diagnostics
from controlplane.cli.ctl.devices.fleet import fleet
from controlplane.cli.ctl.devices.label import label
from controlplane.cli.ctl.doctor import doctor
from controlplane.cli.ctl.download import download
from controlplane.cli.ctl.licensing.key import key
from controlplane.cli.ctl.licensing.licence import licence
from controlplane.cli.ctl.licensing.seat import seat
from controlplane.cli.ctl.notice import notice
from controlplane.cli.ctl.policies.changes import policy
from controlplane.cli.ctl.sandbox import sandbox
from controlplane.cli.ctl.subscriptions.changes import subscription
from controlplane.cli.ctl.webhook import webhook
from controlplane.cli.program import end_with_program

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Is every device protected, and what am I paying for? Exit statuses: docs/exit-status.md.",
)
app.command()(login)
app.command()(logout)
app.command()(whoami)
app.command()(export)
app.command()(doctor)
app.add_typer(fleet, name="fleet")
device.add_typer(label, name="label")
app.add_typer(device, name="device")
app.add_typer(policy, name="policy")
app.add_typer(detection, name="detection")
app.add_typer(incident, name="incident")
app.add_typer(webhook, name="webhook")
app.add_typer(quarantine, name="quarantine")
app.add_typer(command, name="command")
app.add_typer(diagnostics, name="diagnostics")
app.add_typer(seat, name="seat")
app.add_typer(subscription, name="subscription")
app.add_typer(key, name="key")
app.add_typer(licence, name="licence")
app.add_typer(invoice, name="invoice")
app.add_typer(payment_method, name="payment-method")
app.add_typer(refund, name="refund")
app.add_typer(notice, name="notice")
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(password, name="password")
app.add_typer(second_factor, name="second-factor")
app.add_typer(audit, name="audit")
app.add_typer(download, name="download")
app.add_typer(sandbox, name="sandbox")


def main() -> None:
    """Run one command and end the process with its exit status."""
    end_with_program(app, "bucklerctl", sys.argv[1:])

"""`bucklerctl subscription`: what is paid for, and until when."""

import sys
from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_fields,
    say_json,
    wish_name,
)

subscription = typer.Typer(no_args_is_help=True, help="What is paid for, and until when.")

SubscriptionArgument = Annotated[
    str, typer.Argument(metavar="[SUBSCRIPTION]", help="Id; left out: the only one there is.", show_default=False)
]


@subscription.command("show")
def show_subscription(
    config_dir: ConfigDirOption, subscription_id: SubscriptionArgument = "", *, output: OutputOption = Output.TEXT
) -> None:
    """Plan, seats, billing, renewal and access."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import subscription_row
        from wire.v1.subscription_pb2 import GetSubscriptionRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            request = GetSubscriptionRequest(subscription_id=subscription_id)
            row = subscription_row(connection.call(stub.GetSubscription, request))
        show_row(row, output)


@subscription.command("consents")
def list_consents(
    config_dir: ConfigDirOption, subscription_id: SubscriptionArgument = "", *, output: OutputOption = Output.TEXT
) -> None:
    """What was agreed to, by whom and when, whenever it began to renew by itself."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment
        from wire.v1.subscription_pb2 import ListConsentsRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            answer = connection.call(stub.ListConsents, ListConsentsRequest(subscription_id=subscription_id))
        found: list[dict[str, Any]] = [
            {
                "given_at": moment(each.given_at_us),
                "given_by": each.given_by,
                "occasion": each.occasion,
                "plan_id": each.plan_id,
                "catalog_version": each.catalog_version,
                "statement": each.statement,
            }
            for each in answer.consents
        ]
        if output is Output.JSON:
            say_json(found)
            return
        for each in found:
            say(f"{local(each['given_at'])}  {each['given_by']} ({each['occasion'].replace('_', ' ')})")
            say(f"  {each['statement']}")


@subscription.command("renew")
def renew_subscription(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    idempotency_key: Annotated[
        str, typer.Option(help="Name of this wish, 8 to 64 characters: a repeat with the same name changes nothing.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Add one term; on a terminal you are asked first.

    Two commands that run at once add one term between them. After one that was cut off, look at
    `bucklerctl subscription show` before you repeat it, or give both the same --idempotency-key.
    """
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.subscription_changes import show_taken, take_quote
        from controlplane.cli.ctl.views import moment, subscription_row
        from wire.v1.subscription_pb2 import GetSubscriptionRequest, PreviewRequest, RenewRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            before = connection.call(stub.GetSubscription, GetSubscriptionRequest(subscription_id=subscription_id))
            if before.currency:
                request = PreviewRequest(subscription_id=before.subscription_id)
                wish = wish_name(idempotency_key)
                answer = take_quote(connection, request, yes=yes, wish=wish, output=output)
                show_taken(answer, output)
                return
            if sys.stdin.isatty() and not yes:
                ends = local(moment(before.period_end_at_us))
                typer.confirm(f"Add one {before.term} term to {before.plan_name}, paid until {ends}?", abort=True)
            # By default named after the period that it follows: what was seen decides what is wished for.
            wish = idempotency_key or f"ctl-after-{before.period_end_at_us}"
            renew = RenewRequest(subscription_id=before.subscription_id, idempotency_key=wish)
            renewed = connection.call(stub.Renew, renew)
        row = subscription_row(renewed.subscription)
        if output is Output.TEXT:
            say("Renewed." if renewed.renewed else "This term had been added before; nothing was changed.")
        show_row({**row, "renewed": renewed.renewed}, output)


def show_row(row: dict[str, Any], output: Output) -> None:
    """A subscription, for people or for programs."""
    from controlplane.cli.ctl.moments import local

    if output is Output.JSON:
        say_json(row)
        return
    changes = f", until {local(row['access_until'])}" if row["access_until"] else ""
    say_fields(
        {
            "subscription": row["subscription_id"],
            "plan": f"{row['plan_name']} ({row['plan_id']}, {row['term']})",
            "seats": f"{row['seats_taken']} of {row['seats']} taken",
            "access": f"{row['access']} ({row['access_reason']}){changes}",
            "billing": row["billing"].replace("_", " "),
            "renewal": row["renewal"].replace("_", " "),
            "period": f"{local(row['period_start'])} to {local(row['period_end'])}",
            **_ahead(row),
        }
    )


def _ahead(row: dict[str, Any]) -> dict[str, str]:
    """What comes, as far as there is something to say."""
    from controlplane.cli.ctl.moments import local

    fields = {}
    if row["next_charge"]:
        fields["next charge"] = f"{row['next_charge']['text']} on {local(row['period_end'])}"
    if row["pending_plan_id"]:
        fields["changes to"] = f"{row['pending_plan_id']}, {row['pending_term']} on {local(row['period_end'])}"
    if row["open_invoice_id"]:
        fields["open invoice"] = f"{row['open_invoice_id']} (bucklerctl invoice pay {row['open_invoice_id']})"
    if row["cancelled_at"]:
        fields["cancelled"] = local(row["cancelled_at"])
    return fields

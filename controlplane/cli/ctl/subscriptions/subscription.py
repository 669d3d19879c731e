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
    say_json,
    wish_name,
)
from controlplane.cli.ctl.subscriptions.quotes import show_taken, take_quote
from controlplane.cli.ctl.subscriptions.rows import SubscriptionArgument, show_row

subscription = typer.Typer(no_args_is_help=True, help="What is paid for, and until when.")


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
    """What was agreed to, by whom and when, each time renewal was turned on."""
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
        if not found:
            say("No agreement to renew by itself is on record.")
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

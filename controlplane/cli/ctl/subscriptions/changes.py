"""`bucklerctl subscription`: what it costs and what it does to change, renew, cancel, undo and come back."""

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.catalog.model import Term
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    say_table,
    wish_name,
)
from controlplane.cli.ctl.subscriptions.quotes import quote_row, show_quote, show_taken, take_quote
from controlplane.cli.ctl.subscriptions.rows import SubscriptionArgument, show_row
from controlplane.cli.ctl.subscriptions.subscription import subscription

if TYPE_CHECKING:
    from wire.v1.subscription_pb2 import PreviewRequest

__all__ = ["subscription"]

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]
PlanOption = Annotated[str, typer.Option("--plan", help="A plan of the catalog; left out: the same.")]
TermOption = Annotated[Term | None, typer.Option("--term", help="Left out: the same.", show_default=False)]


class Switch(Enum):
    """On or off."""

    ON = "on"
    OFF = "off"


@subscription.command("preview")
def preview(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    plan: PlanOption = "",
    term: TermOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """What a change costs and when it takes effect; without --plan and --term: one more term, or coming back."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            row = quote_row(connection.call(stub.Preview, _wished(subscription_id, plan, term)))
        if output is Output.JSON:
            say_json(row)
            return
        show_quote(row)
        say(f"To take it: bucklerctl subscription change --quote {row['quote_id']}")


@subscription.command("change")
def change(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    plan: PlanOption = "",
    term: TermOption = None,
    quote: Annotated[str, typer.Option(help="Take this quote; left out: one is made and shown first.")] = "",
    yes: YesOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Change plan or term: upgrades now, everything else at the end of the term. Both can be undone."""
    with reporting(output):
        request = _wished(subscription_id, plan, term)
        _take(config_dir, request, quote=quote, yes=yes, wish=wish_name(idempotency_key), output=output)


@subscription.command("resume")
def resume(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    yes: YesOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Come back, with the same devices and settings. While the paid period still runs, renewal is turned on."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.common_pb2 import ACCESS_LEVEL_FULL
        from wire.v1.subscription_pb2 import GetSubscriptionRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            seen = connection.call(stub.GetSubscription, GetSubscriptionRequest(subscription_id=subscription_id))
        wish = wish_name(idempotency_key)
        if seen.access == ACCESS_LEVEL_FULL:
            _switch(config_dir, seen.subscription_id, on=True, wish=wish, output=output)
            return
        _take(config_dir, _wished(seen.subscription_id, "", None), quote="", yes=yes, wish=wish, output=output)


@subscription.command("undo")
def undo(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Take back what waits for the end of the term, else a cancellation, else an upgrade of the last 14 days."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import subscription_row
        from wire.v1.subscription_pb2 import UndoRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            request = UndoRequest(subscription_id=subscription_id, idempotency_key=wish_name(idempotency_key))
            row = subscription_row(connection.call(stub.Undo, request))
        if output is Output.TEXT:
            say("Taken back.")
        show_row(row, output)


@subscription.command("cancel")
def cancel(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    yes: YesOption = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Cancel, in two steps: you are shown what it means, then asked. Without a terminal, --yes is the second step."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment, subscription_row
        from wire.v1.subscription_pb2 import CancelRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            answer = connection.call(stub.Cancel, CancelRequest(subscription_id=subscription_id))
            named = answer.subscription.subscription_id
            if output is Output.TEXT:
                kept = local(moment(answer.kept_until_at_us)) if answer.kept_until_at_us else "you delete them"
                say(f"{answer.subscription.plan_name} works until {local(moment(answer.ends_at_us))}.")
                say(f"Devices, settings and quarantine are kept until {kept}. Nothing more is charged.")
            if yes or (sys.stdin.isatty() and typer.confirm("Cancel it?", abort=True)):
                wish = wish_name(idempotency_key)
                request = CancelRequest(subscription_id=named, confirmed=True, idempotency_key=wish)
                answer = connection.call(stub.Cancel, request)
        row = {
            **subscription_row(answer.subscription),
            "ends_at": moment(answer.ends_at_us),
            "cancelled": answer.cancelled,
        }
        if output is Output.JSON:
            say_json(row)
            return
        say(
            f"Cancelled. To take it back: bucklerctl subscription undo {named}"
            if answer.cancelled
            else "Not cancelled: add --yes."
        )


@subscription.command("auto-renew")
def auto_renew(
    switch: Annotated[Switch, typer.Argument(help="Whether it renews at the end of the period.")],
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Turn renewal on or off, with effect at once and a receipt by mail. Off stays off."""
    with reporting(output):
        _switch(config_dir, subscription_id, on=switch is Switch.ON, wish=wish_name(idempotency_key), output=output)


@subscription.command("simulate")
def simulate(
    config_dir: ConfigDirOption,
    subscription_id: SubscriptionArgument = "",
    *,
    months: Annotated[int, typer.Option(min=1, max=120, help="How far to look.")] = 14,
    output: OutputOption = Output.TEXT,
) -> None:
    """The calendar of what will happen if nobody does anything and every charge succeeds. Changes nothing."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.money_rows import amount_row
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import access_name, moment
        from wire.v1.subscription_pb2 import SimulateRequest
        from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = SubscriptionServiceStub(connection.channel)
            answer = connection.call(stub.Simulate, SimulateRequest(subscription_id=subscription_id, months=months))
        found: list[dict[str, Any]] = [
            {
                "at": moment(entry.at_us),
                "what": entry.what,
                "plan": entry.plan_name,
                "amount": amount_row(entry.amount) if entry.HasField("amount") else None,
                "access": access_name(entry.access),
            }
            for entry in answer.entries
        ]
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                local(each["at"]),
                each["what"].replace("_", " "),
                each["plan"],
                each["amount"]["text"] if each["amount"] else "",
                each["access"],
            ]
            for each in found
        ]
        say_table(
            ["when", "what", "plan", "amount", "access"], rows, whole=["when"], empty="Nothing happens in that time."
        )


def _take(config_dir: Any, request: "PreviewRequest", *, quote: str, yes: bool, wish: str, output: Output) -> None:
    from controlplane.cli.ctl.connection import connected
    from controlplane.cli.ctl.session import load_session
    from wire.v1.subscription_pb2 import ApplyQuoteRequest
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(load_session(config_dir)) as connection:
        if quote:
            stub = SubscriptionServiceStub(connection.channel)
            answer = connection.call(stub.ApplyQuote, ApplyQuoteRequest(quote_id=quote, idempotency_key=wish))
        else:
            answer = take_quote(connection, request, yes=yes, wish=wish, output=output)
    show_taken(answer, output)


def _switch(config_dir: Any, subscription_id: str, *, on: bool, wish: str, output: Output) -> None:
    from controlplane.cli.ctl.connection import connected
    from controlplane.cli.ctl.session import load_session
    from controlplane.cli.ctl.views import subscription_row
    from wire.v1.subscription_pb2 import SetAutoRenewRequest
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    with connected(load_session(config_dir)) as connection:
        stub = SubscriptionServiceStub(connection.channel)
        request = SetAutoRenewRequest(subscription_id=subscription_id, on=on, idempotency_key=wish)
        row = subscription_row(connection.call(stub.SetAutoRenew, request))
    if output is Output.TEXT:
        say(f"Renewal is {'on' if on else 'off'}; the receipt is on its way by mail.")
    show_row(row, output)


def _wished(subscription_id: str, plan: str, term: Term | None) -> "PreviewRequest":
    from wire.v1.subscription_pb2 import PreviewRequest

    return PreviewRequest(subscription_id=subscription_id, plan_id=plan, term="" if term is None else term.value)

"""`bucklerctl refund`: what can be given back, and what is on its way."""

from typing import Annotated, Any

import typer

from controlplane.cli.ctl.billing.invoice import DEFAULT_LIMIT, InvoiceArgument
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

refund = typer.Typer(no_args_is_help=True, help="What can be given back, and what is on its way.")


@refund.command("check")
def check_refund(
    invoice_id: InvoiceArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """Whether an invoice can be given back now, why, and until when. Changes nothing."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.money_rows import amount_row
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import CheckRefundRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            answer = connection.call(stub.CheckRefund, CheckRefundRequest(invoice_id=invoice_id))
        row: dict[str, Any] = {
            "decision": answer.decision,
            "reason": answer.reason,
            "sentence": answer.sentence,
            "amount": amount_row(answer.amount),
            "last_day": answer.last_day or None,
            "policy_version": answer.policy_version,
        }
        if output is Output.JSON:
            say_json(row)
            return
        say_fields(
            {
                "decision": answer.decision.replace("_", " "),
                "why": f"{answer.sentence} ({answer.reason})",
                "amount": row["amount"]["text"],
                "last day": answer.last_day or "none",
                "policy": f"version {answer.policy_version}",
            }
        )


@refund.command("request")
def request_refund(
    invoice_id: InvoiceArgument,
    config_dir: ConfigDirOption,
    *,
    amount: Annotated[
        str, typer.Option(help="Less than all of it: 10.00; left out: as much as the policy gives.")
    ] = "",
    currency: Annotated[str, typer.Option(help="Of the amount: EUR.")] = "",
    reason: Annotated[str, typer.Option(help="Printed on the credit note.")] = "",
    idempotency_key: Annotated[
        str, typer.Option(help="Name of this wish, 8 to 64 characters: a repeat with the same name gives nothing more.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give an invoice back, as far as the policy allows."""
    with reporting(output):
        from controlplane.billing.money import parse_decimal
        from controlplane.cli.ctl.billing.amounts import refund_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.money_rows import amount_row
        from controlplane.cli.ctl.session import load_session
        from controlplane.runtime.randomness import SystemRandomness, new_id
        from wire.v1.billing_pb2 import Money, RequestRefundRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        wish = idempotency_key or new_id(SystemRandomness(), "ctl")
        request = RequestRefundRequest(invoice_id=invoice_id, note=reason, idempotency_key=wish)
        if amount:
            wished = parse_decimal(amount, currency)
            request.amount.CopyFrom(Money(minor=wished.minor, currency=wished.currency))
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(BillingServiceStub(connection.channel).RequestRefund, request)
        rows = [refund_row(each) for each in answer.refunds]
        balance = amount_row(answer.to_balance)
        if output is Output.JSON:
            say_json({"refunds": rows, "to_balance": balance})
            return
        for row in rows:
            say(f"{row['amount']['text']} goes back the way it came ({row['refund_id']}, {row['state']}).")
        if answer.to_balance.minor:
            say(f"{balance['text']} went back to the balance of the account.")


@refund.command("list")
def list_refunds(
    config_dir: ConfigDirOption, *, limit: LimitOption = DEFAULT_LIMIT, output: OutputOption = Output.TEXT
) -> None:
    """Every refund, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import refund_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import ListRefundsRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListRefunds, ListRefundsRequest(page=page)),
                lambda answer: map(refund_row, answer.refunds),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                each["refund_id"],
                each["amount"]["text"],
                each["state"],
                each["reason"].replace("_", " "),
                local(each["updated_at"]),
            ]
            for each in found
        ]
        say_table(
            ["refund", "amount", "state", "reason", "last change"],
            rows,
            whole=["refund"],
            empty="There are no refunds.",
        )

"""A quote is got, shown, agreed to and taken; then what became of it is told."""

import sys
from typing import TYPE_CHECKING, Any

import typer

from controlplane.cli.ctl.output import Output, say, say_fields, say_table
from controlplane.cli.ctl.subscriptions.rows import show_row

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.subscription_pb2 import ApplyQuoteResponse, PreviewRequest


def take_quote(
    connection: "Connection", request: "PreviewRequest", *, yes: bool, wish: str, output: Output
) -> "ApplyQuoteResponse":
    """Get a quote, show it, ask, and take it."""
    from wire.v1.subscription_pb2 import ApplyQuoteRequest
    from wire.v1.subscription_pb2_grpc import SubscriptionServiceStub

    stub = SubscriptionServiceStub(connection.channel)
    row = quote_row(connection.call(stub.Preview, request))
    if output is Output.TEXT:
        show_quote(row)
    if sys.stdin.isatty() and not yes:
        typer.confirm("Do it?", abort=True)
    answer: ApplyQuoteResponse = connection.call(
        stub.ApplyQuote, ApplyQuoteRequest(quote_id=row["quote_id"], idempotency_key=wish)
    )
    return answer


def show_taken(answer: "ApplyQuoteResponse", output: Output) -> None:
    """The subscription afterwards, and what became of the payment."""
    from controlplane.cli.ctl.billing.amounts import invoice_row, payment_row
    from controlplane.cli.ctl.views import subscription_row

    row = subscription_row(answer.subscription)
    invoice = invoice_row(answer.invoice) if answer.HasField("invoice") else None
    payment = payment_row(answer.payment) if answer.HasField("payment") else None
    if output is Output.TEXT and invoice is not None:
        state = "" if payment is None else f", payment {payment['state'].replace('_', ' ')}"
        say(f"Invoice {invoice['number']}: {invoice['total']['text']}, {invoice['state']}{state}.")
    show_row({**row, "invoice": invoice, "payment": payment}, output)


def quote_row(quote: Any) -> dict[str, Any]:
    """A quote, for programs."""
    from controlplane.cli.ctl.money_rows import amount_row
    from controlplane.cli.ctl.views import moment

    return {
        "quote_id": quote.quote_id,
        "subscription_id": quote.subscription_id,
        "kind": quote.kind,
        "plan_id": quote.plan_id,
        "term": quote.term,
        "total": amount_row(quote.total) if quote.HasField("total") else None,
        "lines": [{"description": line.description, "amount": amount_row(line.amount)} for line in quote.lines],
        "effective_at": moment(quote.effective_at_us),
        "expires_at": moment(quote.expires_at_us),
    }


def show_quote(row: dict[str, Any]) -> None:
    """A quote, for people."""
    from controlplane.cli.ctl.moments import local

    if row["lines"]:
        say_table(["what", "amount"], [[line["description"], line["amount"]["text"]] for line in row["lines"]])
    say_fields(
        {
            "what": row["kind"].replace("_", " "),
            "plan": f"{row['plan_id']}, {row['term']}",
            "costs": row["total"]["text"] if row["total"] else "nothing now",
            "from": local(row["effective_at"]),
            "holds until": local(row["expires_at"]),
        }
    )

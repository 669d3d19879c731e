"""`bucklerctl invoice`: what was asked for, what was paid, and why."""

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)
from controlplane.runtime.refusal import Kind, Refusal

invoice = typer.Typer(no_args_is_help=True, help="What was asked for, what was paid, and why.")

InvoiceArgument = Annotated[str, typer.Argument(metavar="INVOICE", help="Id or number: bucklerctl invoice list.")]
DEFAULT_LIMIT = 100


class Format(Enum):
    """Of a document."""

    TEXT = "text"
    HTML = "html"
    PDF = "pdf"
    CANONICAL = "canonical"


@invoice.command("list")
def list_invoices(
    config_dir: ConfigDirOption, *, limit: LimitOption = DEFAULT_LIMIT, output: OutputOption = Output.TEXT
) -> None:
    """Every invoice, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import invoice_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import ListInvoicesRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListInvoices, ListInvoicesRequest(page=page)),
                lambda answer: map(invoice_row, answer.invoices),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                each["number"] or each["invoice_id"],
                each["state"],
                each["total"]["text"],
                each["due"]["text"],
                local(each["due_at"]),
            ]
            for each in found
        ]
        say_table(
            ["invoice", "state", "total", "still due", "due on"],
            rows,
            whole=["invoice"],
            empty="There are no invoices.",
        )


@invoice.command("show")
def show_invoice(
    invoice_id: InvoiceArgument,
    config_dir: ConfigDirOption,
    *,
    document: Annotated[Format | None, typer.Option("--format", help="The document itself.")] = None,
    credit_note: Annotated[str, typer.Option(help="Id of one of its credit notes: that document instead.")] = "",
    file: Annotated[Path | None, typer.Option(help="Where to write the document; left out: standard output.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """One invoice with its payments and credit notes, or a document as text, HTML or PDF."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import DocumentFormat, GetInvoiceRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        wanted = Format.TEXT if document is None and (credit_note or file is not None) else document
        request = GetInvoiceRequest(invoice_id=invoice_id, credit_note_id=credit_note)
        if wanted is not None:
            request.format = DocumentFormat.Value(f"DOCUMENT_FORMAT_{wanted.name}")
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(BillingServiceStub(connection.channel).GetInvoice, request)
        if wanted is not None:
            _write(answer.document, file, wanted)
            return
        _show(answer, output)


@invoice.command("why")
def explain_invoice(
    invoice_id: InvoiceArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """Why every amount is what it is, with the sum done again."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.money_rows import amount_row
        from controlplane.cli.ctl.session import load_session
        from wire.v1.billing_pb2 import ExplainInvoiceRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = BillingServiceStub(connection.channel)
            answer = connection.call(stub.ExplainInvoice, ExplainInvoiceRequest(invoice_id=invoice_id))
        amounts: list[dict[str, Any]] = [
            {"what": each.what, "amount": amount_row(each.amount), "why": each.why} for each in answer.amounts
        ]
        if output is Output.JSON:
            say_json({"number": answer.number or None, "amounts": amounts})
            return
        rows = [[each["what"], each["amount"]["text"], each["why"]] for each in amounts]
        say_table(["what", "amount", "why"], rows, whole=["amount"])


@invoice.command("pay")
def pay_invoice(
    invoice_id: InvoiceArgument,
    config_dir: ConfigDirOption,
    *,
    method: Annotated[str, typer.Option(help="Id of a payment method; left out: the default.")] = "",
    idempotency_key: Annotated[
        str, typer.Option(help="Name of this wish, 8 to 64 characters: a repeat with the same name pays nothing more.")
    ] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Pay what is due now. Two commands at once pay once: a second payment waits until the first is settled."""
    with reporting(output):
        from controlplane.cli.ctl.billing.amounts import payment_row
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.runtime.randomness import SystemRandomness, new_id
        from wire.v1.billing_pb2 import PayInvoiceRequest
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        wish = idempotency_key or new_id(SystemRandomness(), "ctl")
        request = PayInvoiceRequest(invoice_id=invoice_id, method_id=method, idempotency_key=wish)
        with connected(load_session(config_dir)) as connection:
            row = payment_row(connection.call(BillingServiceStub(connection.channel).PayInvoice, request).payment)
        if output is Output.JSON:
            say_json(row)
            return
        say_fields(_payment_fields(row))


@invoice.command("identify")
def identify_charge(
    amount: Annotated[str, typer.Argument(help="As the bank statement has it: 49.99.")],
    currency: Annotated[str, typer.Argument(help="Of the statement: EUR.")],
    config_dir: ConfigDirOption,
    *,
    on: Annotated[str, typer.Option("--on", help="Day of the statement: 2026-03-02.")],
    statement: Annotated[str, typer.Option(help="Its text, if there is one.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """What a charge on a bank statement is: ours, charged twice, a reservation, a shop's, nobody's."""
    with reporting(output):
        from controlplane.billing.money import parse_decimal
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.money_rows import amount_row
        from controlplane.cli.ctl.session import load_session
        from wire.v1 import billing_pb2
        from wire.v1.billing_pb2_grpc import BillingServiceStub

        seen = parse_decimal(amount, currency)
        request = billing_pb2.ClassifyChargeRequest(
            amount=billing_pb2.Money(minor=seen.minor, currency=seen.currency),
            at_us=_noon(on),
            descriptor_text=statement,
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(BillingServiceStub(connection.channel).ClassifyCharge, request)
        refund = amount_row(answer.refund) if answer.HasField("refund") else None
        row = {
            "kind": answer.kind,
            "sentence": answer.sentence,
            "next_step": answer.next_step,
            "evidence": list(answer.evidence),
            "refund": refund,
        }
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{answer.kind}: {answer.sentence}.")
        say(f"next: {answer.next_step}")
        if answer.evidence:
            say(f"evidence: {', '.join(answer.evidence)}")


def _noon(day: str) -> int:
    """Noon in UTC is within half a day of any time zone's day."""
    from datetime import UTC, datetime, time

    from controlplane.storage.microseconds import to_microseconds

    try:
        parsed = datetime.strptime(day, "%Y-%m-%d").date()  # noqa: DTZ007 -- a day has no zone
    except ValueError as error:
        raise Refusal(Kind.INVALID, "DAY_INVALID", f"{day!r} is not a day", "Write it like 2026-03-02") from error
    return to_microseconds(datetime.combine(parsed, time(12), UTC))


def _write(document: bytes, file: Path | None, form: Format) -> None:
    if file is None:
        if form is Format.PDF and sys.stdout.isatty():
            raise Refusal(
                Kind.INVALID, "FILE_NEEDED", "a PDF is nothing for a terminal", "Name a file: --file invoice.pdf"
            )
        sys.stdout.buffer.write(document)
        return
    try:
        file.write_bytes(document)
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT, "FILE_NOT_WRITTEN", f"cannot write {file}: {error.strerror}", "Choose another file"
        ) from error
    note(f"written to {file}")


def _show(answer: Any, output: Output) -> None:
    from controlplane.cli.ctl.billing.amounts import credit_note_row, invoice_row, payment_row
    from controlplane.cli.ctl.moments import local

    row = invoice_row(answer.invoice)
    payments = [payment_row(each) for each in answer.payments]
    notes = [credit_note_row(each) for each in answer.credit_notes]
    if output is Output.JSON:
        say_json({**row, "payments": payments, "credit_notes": notes})
        return
    say_fields(
        {
            "invoice": f"{row['number'] or 'draft'} ({row['invoice_id']})",
            "state": row["state"],
            "total": f"{row['total']['text']}, tax {row['tax']['text']}",
            "still due": row["due"]["text"],
            "due on": local(row["due_at"]),
            "given back": row["returned"]["text"],
        }
    )
    say()
    say_table(["line", "amount"], [[each["description"], each["amount"]["text"]] for each in row["lines"]])
    for payment in payments:
        say()
        say_fields(_payment_fields(payment))
    for each in notes:
        say()
        amount, where = each["amount"]["text"], each["destination"]
        say(f"Credit note {each['number']} ({each['credit_note_id']}): {amount} to {where}.")


def _payment_fields(row: dict[str, Any]) -> dict[str, str]:
    from controlplane.cli.ctl.moments import local

    fields = {
        "payment": row["payment_id"],
        "state": row["state"].replace("_", " "),
        "amount": row["amount"]["text"],
        "when": local(row["updated_at"]),
    }
    if row["failure_code"]:
        fields["failed"] = f"{row['failure_code']} ({row['failure_kind'].replace('_', ' ')})"
    if row["action_url"]:
        fields["confirm at"] = row["action_url"]
    return fields

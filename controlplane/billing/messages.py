"""Invoices and payments as messages of the protocol; every capability that speaks of them uses these."""

from datetime import datetime

from controlplane.billing.attempts import Payment
from controlplane.billing.model import Invoice, Line
from controlplane.billing.money import Money
from controlplane.storage.types import to_microseconds
from wire.v1 import billing_pb2


def money_message(money: Money) -> billing_pb2.Money:
    """An amount."""
    return billing_pb2.Money(minor=money.minor, currency=money.currency)


def microseconds(moment: datetime | None) -> int:
    """A moment on the wire; 0 is none."""
    return 0 if moment is None else to_microseconds(moment)


def invoice_message(invoice: Invoice) -> billing_pb2.Invoice:
    """An invoice and where it stands."""
    content, settled, currency = invoice.content, invoice.settlement, invoice.content.currency
    return billing_pb2.Invoice(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        state=invoice.state.value,
        total=money_message(content.total),
        tax=money_message(content.tax),
        due=money_message(invoice.due),
        paid=money_message(Money(settled.paid, currency)),
        forgiven=money_message(Money(settled.forgiven, currency)),
        returned=money_message(Money(settled.returned, currency)),
        created_at_us=microseconds(invoice.created_at),
        finalised_at_us=microseconds(invoice.finalised_at),
        due_at_us=microseconds(content.due_at),
        document_sha256=invoice.document_sha256,
        lines=[line_message(line, currency) for line in content.lines],
    )


def line_message(line: Line, currency: str) -> billing_pb2.InvoiceLine:
    """One line of an invoice or a quote."""
    return billing_pb2.InvoiceLine(
        kind=line.kind.value,
        description=line.description,
        amount=money_message(Money(line.amount, currency)),
        subscription_id="" if line.period is None else line.period.subscription_id,
        period_start_at_us=0 if line.period is None else microseconds(line.period.start),
        period_end_at_us=0 if line.period is None else microseconds(line.period.end),
    )


def payment_message(payment: Payment) -> billing_pb2.Payment:
    """One attempt to collect."""
    return billing_pb2.Payment(
        payment_id=payment.payment_id,
        invoice_id=payment.invoice_id,
        attempt=payment.attempt_no,
        state=payment.state.value,
        amount=money_message(payment.amount),
        provider=payment.provider,
        method_id=payment.method_id,
        failure_kind=payment.failure_kind.value,
        failure_code=payment.failure_code,
        action_url=payment.action_url,
        excess=money_message(Money(payment.excess, payment.amount.currency)),
        created_at_us=microseconds(payment.created_at),
        updated_at_us=microseconds(payment.updated_at),
    )

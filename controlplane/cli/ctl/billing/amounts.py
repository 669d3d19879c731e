"""Invoices, payments and refunds of the server as plain rows; amounts keep their minor units beside the text."""

from typing import Any

from controlplane.cli.ctl.money_rows import amount_row
from controlplane.cli.ctl.views import moment
from wire.v1 import billing_pb2


def invoice_row(invoice: billing_pb2.Invoice) -> dict[str, Any]:
    """An invoice and where it stands."""
    return {
        "invoice_id": invoice.invoice_id,
        "number": invoice.number or None,
        "state": invoice.state,
        "total": amount_row(invoice.total),
        "tax": amount_row(invoice.tax),
        "due": amount_row(invoice.due),
        "paid": amount_row(invoice.paid),
        "forgiven": amount_row(invoice.forgiven),
        "returned": amount_row(invoice.returned),
        "finalised_at": moment(invoice.finalised_at_us),
        "due_at": moment(invoice.due_at_us),
        "document_sha256": invoice.document_sha256.hex() or None,
        "lines": [
            {
                "kind": line.kind,
                "description": line.description,
                "amount": amount_row(line.amount),
                "subscription_id": line.subscription_id or None,
                "period_start": moment(line.period_start_at_us),
                "period_end": moment(line.period_end_at_us),
            }
            for line in invoice.lines
        ],
    }


def payment_row(payment: billing_pb2.Payment) -> dict[str, Any]:
    """One attempt to collect an invoice."""
    return {
        "payment_id": payment.payment_id,
        "invoice_id": payment.invoice_id,
        "attempt": payment.attempt,
        "state": payment.state,
        "amount": amount_row(payment.amount),
        "excess": amount_row(payment.excess),
        "provider": payment.provider,
        "method_id": payment.method_id or None,
        "failure_kind": payment.failure_kind or None,
        "failure_code": payment.failure_code or None,
        "action_url": payment.action_url or None,
        "created_at": moment(payment.created_at_us),
        "updated_at": moment(payment.updated_at_us),
    }


def credit_note_row(note: billing_pb2.CreditNote) -> dict[str, Any]:
    """A correction of an invoice."""
    return {
        "credit_note_id": note.credit_note_id,
        "number": note.number,
        "amount": amount_row(note.amount),
        "tax": amount_row(note.tax),
        "reason": note.reason,
        "destination": note.destination,
        "note": note.note or None,
        "created_at": moment(note.created_at_us),
    }


def method_row(method: billing_pb2.PaymentMethod) -> dict[str, Any]:
    """A way to pay."""
    expires = f"{method.expires_year}-{method.expires_month:02d}" if method.expires_year else None
    return {
        "method_id": method.method_id,
        "brand": method.brand,
        "last4": method.last4,
        "expires": expires,
        "is_default": method.is_default,
        "added_at": moment(method.added_at_us),
    }


def refund_row(refund: billing_pb2.Refund) -> dict[str, Any]:
    """Money on its way back."""
    return {
        "refund_id": refund.refund_id,
        "invoice_id": refund.invoice_id,
        "payment_id": refund.payment_id,
        "amount": amount_row(refund.amount),
        "reason": refund.reason,
        "state": refund.state,
        "failure_code": refund.failure_code or None,
        "created_at": moment(refund.created_at_us),
        "updated_at": moment(refund.updated_at_us),
    }

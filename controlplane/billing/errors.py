"""How billing says no. Each refusal names what to do next; none names another organisation's things."""

from datetime import date

from controlplane.billing.money import Money
from controlplane.runtime.refusal import Kind, Refusal


def draft_invalid(problem: str) -> Refusal:
    """A draft that can be no invoice."""
    return Refusal(
        Kind.INVALID,
        "DRAFT_INVALID",
        f"this cannot be an invoice: {problem}",
        "Correct the line; nothing was changed",
    )


def invoice_negative(total: Money) -> Refusal:
    """More is given back than charged."""
    return Refusal(
        Kind.INVALID,
        "INVOICE_NEGATIVE",
        f"the lines add up to {total}; an invoice never asks for less than nothing",
        "Give back with a credit note on the earlier invoice, then charge what is new",
    )


def invoice_state(invoice: str, state: str, wanted: str) -> Refusal:
    """A step that does not follow."""
    return Refusal(
        Kind.PRECONDITION,
        "INVOICE_STATE",
        f"the invoice {invoice} is {state} and cannot become {wanted}",
        "Correct a final invoice with a credit note",
        facts={"invoice": invoice, "state": state},
    )


def invoice_unknown(invoice_id: str) -> Refusal:
    """There is none, or it is somebody else's: the answer is the same."""
    return Refusal(
        Kind.NOT_FOUND,
        "INVOICE_UNKNOWN",
        f"your organisation has no invoice {invoice_id}",
        "List what there is: bucklerctl invoice list",
        facts={"invoice": invoice_id},
    )


def period_billed(subscription_id: str, invoice_id: str) -> Refusal:
    """This period of this subscription is on another invoice already."""
    return Refusal(
        Kind.CONFLICT,
        "PERIOD_BILLED",
        "this period of the subscription has been invoiced already",
        f"Look at it: bucklerctl invoice show {invoice_id}",
        facts={"subscription_id": subscription_id, "invoice_id": invoice_id},
    )


def over_credited(left: Money) -> Refusal:
    """More would be given back than was paid."""
    return Refusal(
        Kind.PRECONDITION,
        "MORE_THAN_PAID",
        f"that is more than was paid and not yet given back: {left} are left",
        f"Ask for {left} at most" if left.minor > 0 else "Nothing is left to give back; see bucklerctl refund list",
        facts={"left_minor": str(left.minor), "currency": left.currency},
    )


def nothing_due(invoice: str) -> Refusal:
    """There is nothing to pay."""
    return Refusal(
        Kind.PRECONDITION,
        "NOTHING_DUE",
        f"nothing is due on the invoice {invoice}",
        "Look at its payments: bucklerctl invoice show",
        facts={"invoice": invoice},
    )


def payment_in_flight(invoice: str, payment_id: str, state: str) -> Refusal:
    """One at a time; an unknown outcome blocks until it is known."""
    return Refusal(
        Kind.CONFLICT,
        "PAYMENT_IN_FLIGHT",
        f"a payment of the invoice {invoice} is {state.replace('_', ' ')}; a second one might charge twice",
        "Wait until it is settled: the payment provider is asked again every few minutes",
        facts={"invoice": invoice, "payment_id": payment_id, "state": state},
    )


def invoice_has_payment(invoice: str) -> Refusal:
    """What was paid on cannot be made undone by pretending."""
    return Refusal(
        Kind.PRECONDITION,
        "INVOICE_HAS_PAYMENT",
        f"the invoice {invoice} was paid, wholly or in part, and cannot become void",
        "Write a credit note",
        facts={"invoice": invoice},
    )


def payment_method_unknown(method_id: str) -> Refusal:
    """There is none, or it is somebody else's, or it was removed."""
    return Refusal(
        Kind.NOT_FOUND,
        "PAYMENT_METHOD_UNKNOWN",
        f"your organisation has no payment method {method_id}" if method_id else "there is no payment method",
        "List what there is: bucklerctl payment-method list",
        facts={"method_id": method_id},
    )


def payment_method_refused(code: str) -> Refusal:
    """The provider does not take it."""
    return Refusal(
        Kind.PRECONDITION,
        "PAYMENT_METHOD_REFUSED",
        "the payment provider did not accept this payment method",
        "Enter the card again, or use another one",
        facts={"provider_code": code},
    )


def payment_method_exists() -> Refusal:
    """The same token, twice."""
    return Refusal(
        Kind.CONFLICT,
        "PAYMENT_METHOD_EXISTS",
        "this payment method was added before",
        "List what there is: bucklerctl payment-method list",
    )


def provider_unavailable() -> Refusal:
    """Nothing is known to have happened, and nothing was changed."""
    return Refusal(
        Kind.UNAVAILABLE,
        "PAYMENT_PROVIDER_UNAVAILABLE",
        "the payment provider does not answer now",
        "Try again in a few minutes; nothing was charged",
        retry_after_s=60,
    )


def provider_without_methods(provider: str) -> Refusal:
    """Bank transfers need no card."""
    return Refusal(
        Kind.PRECONDITION,
        "PAYMENT_METHODS_NOT_USED",
        "this control plane collects money by bank transfer and keeps no payment methods",
        "Pay the invoice by bank transfer with its number as the reference: bucklerctl invoice show",
        facts={"provider": provider},
    )


def refund_not_eligible(reason: str, sentence: str, last_day: date | None) -> Refusal:
    """The policy says no, and why."""
    return Refusal(
        Kind.PRECONDITION,
        "REFUND_NOT_ELIGIBLE",
        sentence,
        "See the rule and its days: bucklerctl refund check; support can make an exception",
        facts={"refund_reason": reason, "last_day": "" if last_day is None else last_day.isoformat()},
    )


def refund_unknown(refund_id: str) -> Refusal:
    """There is none, or it is somebody else's."""
    return Refusal(
        Kind.NOT_FOUND,
        "REFUND_UNKNOWN",
        f"your organisation has no refund {refund_id}",
        "List what there is: bucklerctl refund list",
        facts={"refund_id": refund_id},
    )


def transfer_mismatch(problem: str) -> Refusal:
    """A bank transfer that does not fit its invoice."""
    return Refusal(
        Kind.INVALID,
        "TRANSFER_MISMATCH",
        f"this transfer does not fit the invoice: {problem}",
        "Compare reference, amount and currency with the bank statement",
    )


def webhook_refused(why: str) -> Refusal:
    """Somebody else's, or an old or future one; says no more than that."""
    return Refusal(
        Kind.UNAUTHENTICATED,
        "WEBHOOK_REFUSED",
        f"this message is not one of the payment provider's: {why}",
        "Check the signing secret of the endpoint, and this machine's clock",
    )


def balance_too_low() -> Refusal:
    """More would be taken from the customer's balance than is on it."""
    return Refusal(
        Kind.PRECONDITION,
        "BALANCE_TOO_LOW",
        "the balance of this organisation is lower than that",
        "Look at what is on it: bucklerctl invoice list",
    )


def period_unpaid(invoice_id: str) -> Refusal:
    """Unused time that nobody paid for is worth nothing."""
    return Refusal(
        Kind.PRECONDITION,
        "PERIOD_UNPAID",
        "the period that would be given back was not paid",
        f"Pay the invoice first, or have it credited: bucklerctl invoice show {invoice_id}",
        facts={"invoice_id": invoice_id},
    )


def payment_unknown(payment_id: str) -> Refusal:
    """There is none, or it is somebody else's."""
    return Refusal(
        Kind.NOT_FOUND,
        "PAYMENT_UNKNOWN",
        f"your organisation has no payment {payment_id}",
        "Look at the payments of an invoice: bucklerctl invoice show",
        facts={"payment_id": payment_id},
    )


def refund_by_provider(refund_id: str, provider: str) -> Refusal:
    """Nobody has to send it by hand."""
    return Refusal(
        Kind.PRECONDITION,
        "REFUND_BY_PROVIDER",
        f"{provider} sends this refund back by itself",
        "Follow it: bucklerctl refund list",
        facts={"refund_id": refund_id, "provider": provider},
    )

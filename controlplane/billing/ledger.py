"""Double-entry bookkeeping as values: what happened in, transfers between accounts out.

A transfer debits one account and credits another with the same amount; an entry that does not balance cannot be
written. Accounts are per organisation and currency. The side on which each grows is in brackets.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from controlplane.billing.model import CreditTo


class Account(Enum):
    """Where an amount is."""

    #: Invoiced and not yet settled [debit].
    RECEIVABLE = "receivable"
    #: Captured by a payment provider or received at the bank, refunds taken off [debit].
    CASH = "cash"
    #: Invoiced without tax, credits taken off [credit]. What of it is earned follows from the periods of the invoices'
    #: lines, for whoever closes a year; it is booked elsewhere.
    DEFERRED_REVENUE = "deferred_revenue"
    #: Owed to the tax office [credit].
    TAX = "tax"
    #: The customer's money with us [credit].
    CREDIT_BALANCE = "credit_balance"
    #: Promised back to the customer and not yet there [credit].
    REFUNDS_PAYABLE = "refunds_payable"
    #: Given up [debit].
    BAD_DEBT = "bad_debt"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One amount from one account to another; minor units, above zero."""

    debit: Account
    credit: Account
    amount: int


def transfers(*wanted: tuple[Account, Account, int]) -> tuple[Transfer, ...]:
    """Transfers of (debit, credit, amount): nothing is left out, less than nothing goes the other way."""
    return tuple(
        Transfer(debit, credit, amount) if amount > 0 else Transfer(credit, debit, -amount)
        for debit, credit, amount in wanted
        if amount != 0
    )


def invoice_finalised(*, total: int, tax: int, from_balance: int) -> tuple[Transfer, ...]:
    """The customer owes; what they have with us is used first."""
    return transfers(
        (Account.RECEIVABLE, Account.DEFERRED_REVENUE, total - tax),
        (Account.RECEIVABLE, Account.TAX, tax),
        (Account.CREDIT_BALANCE, Account.RECEIVABLE, from_balance),
    )


def invoice_void(*, total: int, tax: int, from_balance: int) -> tuple[Transfer, ...]:
    """`invoice_finalised`, the other way."""
    return tuple(
        Transfer(each.credit, each.debit, each.amount)
        for each in invoice_finalised(total=total, tax=tax, from_balance=from_balance)
    )


def invoice_given_up(due: int) -> tuple[Transfer, ...]:
    """Nobody expects it to be paid any more."""
    return transfers((Account.BAD_DEBT, Account.RECEIVABLE, due))


def payment_captured(*, applied: int, excess: int, given_up: bool) -> tuple[Transfer, ...]:
    """Money came. What the invoice did not need is promised back.

    Args:
        applied: What the invoice needed.
        excess: What was too much.
        given_up: The invoice had been given up; it is owed again first.
    """
    return transfers(
        (Account.RECEIVABLE, Account.BAD_DEBT, applied if given_up else 0),
        (Account.CASH, Account.RECEIVABLE, applied),
        (Account.CASH, Account.REFUNDS_PAYABLE, excess),
    )


_CREDITED_TO = {
    CreditTo.INVOICE: Account.RECEIVABLE,
    CreditTo.BALANCE: Account.CREDIT_BALANCE,
    CreditTo.REFUND: Account.REFUNDS_PAYABLE,
}


def credit_noted(*, amount: int, tax: int, to: CreditTo) -> tuple[Transfer, ...]:
    """Taken off an invoice."""
    destination = _CREDITED_TO[to]
    return transfers(
        (Account.DEFERRED_REVENUE, destination, amount - tax),
        (Account.TAX, destination, tax),
    )


def refund_succeeded(amount: int) -> tuple[Transfer, ...]:
    """The customer has it."""
    return transfers((Account.REFUNDS_PAYABLE, Account.CASH, amount))


def refund_failed(amount: int) -> tuple[Transfer, ...]:
    """It cannot go back the way it came; it stays the customer's, as their balance."""
    return transfers((Account.REFUNDS_PAYABLE, Account.CREDIT_BALANCE, amount))


def balances(booked: Iterable[Transfer]) -> dict[Account, int]:
    """Debits less credits per account; they add up to zero by construction."""
    result = dict.fromkeys(Account, 0)
    for each in booked:
        result[each.debit] += each.amount
        result[each.credit] -= each.amount
    return result

from controlplane.billing.ledger import (
    Account,
    credit_noted,
    invoice_finalised,
    invoice_given_up,
    invoice_void,
    payment_captured,
    refund_failed,
    refund_succeeded,
)
from controlplane.billing.model import CreditTo


def test_every_account_is_one_that_something_is_booked_to() -> None:
    booked = (
        *invoice_finalised(total=119, tax=19, from_balance=10),
        *invoice_void(total=119, tax=19, from_balance=10),
        *invoice_given_up(119),
        *payment_captured(applied=119, excess=1, given_up=True),
        *(each for to in CreditTo for each in credit_noted(amount=119, tax=19, to=to)),
        *refund_succeeded(119),
        *refund_failed(119),
    )
    assert {account for each in booked for account in (each.debit, each.credit)} == set(Account)

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.billing.money import Money
from controlplane.notices.model import (
    ANNOUNCED_FOR,
    MAX_ATTEMPTS,
    Announced,
    Notice,
    NoticeKind,
    NoticeState,
    Rendered,
    announces,
    retry_at,
)
from tests.fakes.clock import SOME_MONDAY

AMOUNT = Money(4999, "EUR")
LEAD = timedelta(days=15)


def delivered(amount: Money = AMOUNT) -> Notice:
    return Notice(
        org_id="org_1",
        notice_id="ntc_1",
        kind=NoticeKind.RENEWAL,
        subject="sub_1",
        recipient="anna@example.com",
        rendered=Rendered("subject", "text", "html"),
        state=NoticeState.DELIVERED,
        queued_at=SOME_MONDAY,
        delivered_at=SOME_MONDAY,
        announced=Announced("sub_1", SOME_MONDAY, amount),
    )


@given(st.integers(0, 10**13), st.integers(4_990, 5_010), st.sampled_from(["EUR", "USD"]))
def test_only_the_same_amount_in_its_window_is_announced(age_us: int, minor: int, currency: str) -> None:
    age = timedelta(microseconds=age_us)
    expected = LEAD <= age <= ANNOUNCED_FOR and Money(minor, currency) == AMOUNT
    assert announces(delivered(), Money(minor, currency), LEAD, SOME_MONDAY + age) is expected


def test_mails_are_tried_for_days_but_not_for_ever() -> None:
    now, attempts = SOME_MONDAY, 1
    while (again := retry_at(attempts, now)) is not None:
        assert timedelta(minutes=5) <= again - now <= timedelta(hours=6)
        now, attempts = again, attempts + 1
    assert attempts == MAX_ATTEMPTS
    assert timedelta(days=2) < now - SOME_MONDAY < timedelta(days=5)

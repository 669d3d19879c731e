from dataclasses import replace

from controlplane.catalog.difference import content_changes, difference, price_changes
from controlplane.catalog.model import AccessLevel, Os, Term
from controlplane.installation import sample_catalog

SOLO, HOME = (
    next(plan for plan in sample_catalog().plans if plan.plan_id == plan_id) for plan_id in ("solo-1", "home-3")
)


def test_the_same_catalog_differs_in_nothing() -> None:
    same = difference([SOLO, HOME], [HOME, SOLO])
    assert (same.added, same.removed, dict(same.changed)) == ((), (), {})


def test_plans_that_come_and_go_are_named() -> None:
    found = difference([SOLO], [HOME])
    assert (found.added, found.removed) == (("home-3",), ("solo-1",))


def test_whatever_a_customer_would_notice_is_a_sentence() -> None:
    linux = {**HOME.features[Os.LINUX], "blocking_mode": AccessLevel.FULL, "tune_up": AccessLevel.FULL}
    del linux["remote_commands"]
    after = replace(
        HOME, name="Home plus", devices=5, terms=(Term.YEARLY,), ended_after=None, features={Os.LINUX: linux}
    )
    changes = content_changes(HOME, after)
    assert changes[:4] == (
        "it is called Home plus instead of Buckler Home, 3 devices",
        "5 devices instead of 3",
        "it is no longer sold monthly",
        "what is kept after it expired is kept for ever instead of 365 days",
    )
    assert {
        "blocking mode on linux stays until access is full instead of grace",
        "tune up on linux is included now",
        "remote commands on linux is not included any more",
        "real time protection on macos is not included any more",
    } <= set(changes)


def test_prices_are_compared_by_term_and_currency() -> None:
    prices = {Term.YEARLY: {"EUR": 6499, "JPY": 8900, "CHF": 6000}}
    assert price_changes(HOME, replace(HOME, prices=prices)) == (
        "monthly for 5.99 EUR is not sold any more",
        "monthly for 6.49 USD is not sold any more",
        "monthly for 4.99 GBP is not sold any more",
        "monthly for 900 JPY is not sold any more",
        "64.99 EUR yearly instead of 59.99 EUR",
        "yearly for 64.99 USD is not sold any more",
        "yearly for 49.99 GBP is not sold any more",
        "yearly for 60.00 CHF is sold now",
    )

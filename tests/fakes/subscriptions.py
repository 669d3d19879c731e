"""A plan and a subscription to start from; tests say only what matters to them."""

from datetime import timedelta

from controlplane.catalog.model import AccessLevel, Os, Plan, Term
from controlplane.subscriptions.model import Billing, Renewal, Subscription, first_period
from tests.fakes.clock import SOME_MONDAY

PLAN = Plan(
    plan_id="home-3",
    catalog_version=1,
    name="Home",
    devices=3,
    terms=(Term.MONTHLY, Term.YEARLY),
    grace=timedelta(days=14),
    ended_after=timedelta(days=365),
    features={Os.LINUX: {"quarantine": AccessLevel.LIMITED}},
)
PERIOD = first_period(SOME_MONDAY, Term.YEARLY)
SUBSCRIPTION = Subscription(
    org_id="org_1",
    subscription_id="sub_1",
    plan_id=PLAN.plan_id,
    catalog_version=1,
    term=Term.YEARLY,
    billing=Billing.ACTIVE,
    renewal=Renewal.OFF,
    period_start=PERIOD.start,
    period_end=PERIOD.end,
    anchor_day=SOME_MONDAY.day,
    suspended_at=None,
    revoked_at=None,
    revocation_epoch=0,
    created_at=SOME_MONDAY,
)

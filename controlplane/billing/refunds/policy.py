"""Who gets money back, how much and until when: a pure function of a charge, a published table and the day.

The table is data with a version. An invoice keeps the version that was published when it was written; a later one may
only be kinder: both are asked, the better answer counts.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from controlplane.billing.model import Occasion, SoldBy
from controlplane.billing.money import Money, split

_Occasion = Literal["initial", "after_trial", "renewal", "change"]
_Term = Literal["monthly", "yearly"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Window(_Strict):
    term: _Term
    occasions: Annotated[list[_Occasion], Field(min_length=1)]
    # Days after the day of the charge; the last one counts to its end.
    days: Annotated[int, Field(ge=1, le=366)]


class _ProRata(_Strict):
    # ISO 3166.
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    term: _Term
    occasions: Annotated[list[_Occasion], Field(min_length=1)]


class RefundPolicy(_Strict):
    """One published table."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    windows: list[_Window]
    pro_rata: list[_ProRata] = []


def read_policies(content: bytes) -> tuple[RefundPolicy, ...]:
    """Every published table, the newest last; the file is ours, so a mistake in it is a mistake of ours."""
    policies = [RefundPolicy.model_validate(each) for each in tomllib.loads(content.decode())["policy"]]
    return tuple(sorted(policies, key=lambda policy: policy.version))


class RefundDecision(Enum):
    """What a customer may have."""

    FULL = "full"
    PRO_RATA = "pro_rata"
    NO = "no"
    #: Whoever took the money gives it back.
    ASK_SELLER = "ask_seller"


#: From worst to best, to compare two policies.
_RANK = {RefundDecision.NO: 0, RefundDecision.ASK_SELLER: 0, RefundDecision.PRO_RATA: 1, RefundDecision.FULL: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is asked about.

    Attributes:
        term: `monthly` or `yearly`.
        occasion: Why it was charged.
        sold_by: Who took the money.
        charged_at: When it was paid.
        period_start: What it paid for, half-open.
        period_end: Its end.
        paid: What was paid.
        left: Of that, not yet given back.
        duplicate: It was charged twice; no policy is needed to give that back.
    """

    term: str
    occasion: Occasion
    sold_by: SoldBy
    charged_at: datetime
    period_start: datetime
    period_end: datetime
    paid: Money
    left: Money
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where the customer is: decides which rules apply and when a day ends."""

    country: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The answer.

    Attributes:
        decision: What they may have.
        reason: Stable code.
        sentence: The reason for people, without a final period.
        amount: The most that may be given back now.
        last_day: The last day on which something is given back, in their time zone; None: there is none.
        policy_version: Whose rule it is.
    """

    decision: RefundDecision
    reason: str
    sentence: str
    amount: Money
    last_day: date | None
    policy_version: int


def eligibility(charge: Charge, policy: RefundPolicy, place: Place, now: datetime) -> Eligibility:
    """Decide by one table."""
    nothing = Money(0, charge.left.currency)

    def answer(
        decision: RefundDecision, reason: str, sentence: str, amount: Money = nothing, last_day: date | None = None
    ) -> Eligibility:
        return Eligibility(decision, reason, sentence, amount, last_day, policy.version)

    if charge.sold_by is not SoldBy.US:
        seller = charge.sold_by.value.replace("_", " ")
        return answer(RefundDecision.ASK_SELLER, "SOLD_BY_OTHERS", f"the {seller} took the money and gives it back")
    if charge.left.minor <= 0:
        return answer(RefundDecision.NO, "NOTHING_LEFT", "nothing is left of it to give back")
    if charge.duplicate:
        return answer(RefundDecision.FULL, "DUPLICATE", "it was charged twice", charge.left)
    today = now.astimezone(place.zone).date()
    last_day = _last_day(charge, policy, place)
    if last_day is not None and today <= last_day:
        sentence = f"a {charge.term} charge can be given back until {last_day.isoformat()}"
        return answer(RefundDecision.FULL, "WITHIN_WINDOW", sentence, charge.left, last_day)
    unused = _unused(charge, place, today)
    if unused.minor > 0 and _has_pro_rata(charge, policy, place):
        sentence = f"in {place.country} the unused part of the term can be given back"
        ends = charge.period_end.astimezone(place.zone).date() - timedelta(days=1)
        return answer(RefundDecision.PRO_RATA, "UNUSED_PART", sentence, unused, ends)
    if last_day is not None:
        sentence = f"it could be given back until {last_day.isoformat()}"
        return answer(RefundDecision.NO, "WINDOW_OVER", sentence, last_day=last_day)
    occasion = charge.occasion.value.replace("_", " ")
    return answer(RefundDecision.NO, "NOT_COVERED", f"a {charge.term} charge for {occasion} is not given back")


def best_eligibility(
    charge: Charge, policies: Sequence[RefundPolicy], bought_under: int, place: Place, now: datetime
) -> Eligibility:
    """Decide by the table that was published when it was bought and by the newest one; the better answer counts.

    Args:
        charge: What is asked about.
        policies: Every published table, the newest last.
        bought_under: The version kept with the invoice.
        place: Where the customer is.
        now: Business time.
    """
    bought = next((policy for policy in policies if policy.version == bought_under), policies[-1])
    answers = [eligibility(charge, policy, place, now) for policy in (bought, policies[-1])]
    return max(answers, key=lambda each: (_RANK[each.decision], each.amount.minor, each.last_day or date.min))


def _last_day(charge: Charge, policy: RefundPolicy, place: Place) -> date | None:
    """None: no window covers such a charge."""
    days = [
        window.days
        for window in policy.windows
        if window.term == charge.term and charge.occasion.value in window.occasions
    ]
    return charge.charged_at.astimezone(place.zone).date() + timedelta(days=max(days)) if days else None


def _has_pro_rata(charge: Charge, policy: RefundPolicy, place: Place) -> bool:
    return any(
        rule.country == place.country and rule.term == charge.term and charge.occasion.value in rule.occasions
        for rule in policy.pro_rata
    )


def _unused(charge: Charge, place: Place, today: date) -> Money:
    """What the days after today are worth; today has been used."""
    first = charge.period_start.astimezone(place.zone).date()
    end = charge.period_end.astimezone(place.zone).date()
    whole = (end - first).days
    used = min(max((today - first).days + 1, 0), whole)
    if whole < 1:
        return Money(0, charge.paid.currency)
    _, unused = split(charge.paid.minor, used, whole)
    return Money(min(unused, charge.left.minor), charge.paid.currency)

"""What a version of the catalog changes, in sentences that an operator and a customer read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from controlplane.billing.money import Money
from controlplane.catalog.model import AccessLevel, Plan, Term


@dataclass(frozen=True, slots=True)
class Difference:
    """From the catalog on sale to another.

    Attributes:
        added: Plans that are new.
        removed: Plans that are not sold any more; who has one keeps it.
        changed: Plan id to what is different about it.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]


def difference(old: Sequence[Plan], new: Sequence[Plan]) -> Difference:
    """Compare two catalogs plan by plan."""
    before = {plan.plan_id: plan for plan in old}
    after = {plan.plan_id: plan for plan in new}
    compared = {
        plan_id: (*content_changes(before[plan_id], plan), *price_changes(before[plan_id], plan))
        for plan_id, plan in after.items()
        if plan_id in before
    }
    return Difference(
        added=tuple(plan_id for plan_id in after if plan_id not in before),
        removed=tuple(plan_id for plan_id in before if plan_id not in after),
        changed={plan_id: changes for plan_id, changes in compared.items() if changes},
    )


def content_changes(old: Plan, new: Plan) -> tuple[str, ...]:
    """Everything but the prices that a customer would notice."""
    return tuple(_content_changes(old, new))


def price_changes(old: Plan, new: Plan) -> tuple[str, ...]:
    """One sentence per term and currency."""
    sold = dict.fromkeys(
        (term, currency) for plan in (old, new) for term in Term for currency in plan.prices.get(term, {})
    )
    return tuple(
        sentence
        for term, currency in sold
        if (sentence := _price_change(term, currency, old.price(term, currency), new.price(term, currency)))
    )


def _content_changes(old: Plan, new: Plan) -> Iterator[str]:
    if new.name != old.name:
        yield f"it is called {new.name} instead of {old.name}"
    if new.devices != old.devices:
        yield f"{new.devices} devices instead of {old.devices}"
    for term in sorted(set(old.terms) ^ set(new.terms), key=lambda each: each.months):
        yield f"it is {'now' if term in new.terms else 'no longer'} sold {term.value}"
    if new.grace != old.grace:
        yield f"an overdue payment changes nothing for {new.grace.days} days instead of {old.grace.days}"
    if new.ended_after != old.ended_after:
        yield f"what is kept after it expired is kept {_kept(new.ended_after)} instead of {_kept(old.ended_after)}"
    for platform in dict.fromkeys((*old.features, *new.features)):
        yield from _feature_changes(platform.value, old.features.get(platform, {}), new.features.get(platform, {}))


def _feature_changes(platform: str, old: Mapping[str, AccessLevel], new: Mapping[str, AccessLevel]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        spoken = f"{name.replace('_', ' ')} on {platform}"
        if name not in new:
            yield f"{spoken} is not included any more"
        elif name not in old:
            yield f"{spoken} is included now"
        elif new[name] is not old[name]:
            yield f"{spoken} stays until access is {new[name].value} instead of {old[name].value}"


def _price_change(term: Term, currency: str, old: int | None, new: int | None) -> str:
    if old is None and new is not None:
        return f"{term.value} for {Money(new, currency)} is sold now"
    if old is not None and new is None:
        return f"{term.value} for {Money(old, currency)} is not sold any more"
    if old is None or new is None or new == old:
        return ""
    return f"{Money(new, currency)} {term.value} instead of {Money(old, currency)}"


def _kept(after: timedelta | None) -> str:
    return "for ever" if after is None else f"{after.days} days"

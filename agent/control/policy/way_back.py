"""How to come back from a lower access level: one sentence per reason, for every place that has to say no."""

from agent.domain.entitlement import Access, AccessLevel, Claims, Feature
from agent.domain.errors import BucklerError, ExitStatus

#: Reasons come from the control plane (`AccessReason` there) or from `agent.domain.entitlement`.
_WAYS = {
    "NOT_ACTIVATED": "get an activation key from your administrator and run `buckler activate --server HOST:PORT`",
    "PAYMENT_OVERDUE": "pay the open invoice; this device follows by itself at its next check-in",
    "PAYMENT_FAILED": "settle the failed payment; this device follows by itself at its next check-in",
    "PAYMENT_DISPUTED": "settle the disputed payment; this device follows by itself at its next check-in",
    "TRIAL_OVER": "buy a plan; this device follows by itself at its next check-in",
    "SUBSCRIPTION_EXPIRED": "renew the subscription; this device follows by itself at its next check-in",
    "SUBSCRIPTION_ENDED": "renew the subscription; this device follows by itself at its next check-in",
    "SUBSCRIPTION_SUSPENDED": "ask the owner of the account why it was suspended; nothing has to be done here",
    "SUBSCRIPTION_REVOKED": "ask the owner of the account for a new activation key, then run `buckler activate`",
    "SEAT_RELEASED": "free a seat or add one, then run `buckler activate` again; the device keeps its identity",
    "SEAT_TRANSFERRED": "another device has the seat now; get one of your own and run `buckler activate` again",
    "SEAT_RECLAIMED": "let this device reach its control plane: it takes a free seat by itself, if there is one",
    "SEAT_OVER_LIMIT": "the plan covers fewer devices now: free a seat or add one, then run `buckler activate` again",
    "NO_CONTACT": "let this device reach its control plane once; `buckler status` names the last error",
    "ENTITLEMENT_UNREADABLE": "let this device reach its control plane once, or run `buckler activate` again",
}
_ELSE = "ask the owner of the account; `bucklerctl subscription show` names the cause"


def way_back(access: Access) -> str:
    """What brings this device back to everything its plan has; empty when it is there."""
    return way_back_from(access.level.value, access.reason)


def way_back_from(level: str, reason: str) -> str:
    """The same, from the two values as `status` prints them."""
    return "" if level == AccessLevel.FULL.value else _WAYS.get(reason, _ELSE)


def feature_refused(feature: Feature, access: Access, claims: Claims | None) -> BucklerError:
    """The refusal of something that the entitlement does not grant now, with reason, date and way back."""
    label = feature.value.replace("_", " ")
    facts = {"feature": feature.value, "access": access.level.value, "reason": access.reason}
    dates = _dates(access, claims)
    facts.update({name: day for name, day, _ in dates})
    if access.level is AccessLevel.FULL:
        message, next_step = (
            f"{label} is not part of this device's plan",
            "ask the owner of the account for another plan",
        )
    else:
        when = "".join(f", {sentence}" for _, _, sentence in dates)
        message = f"{label} is not available: access is {access.level.value} ({access.reason}){when}"
        next_step = way_back(access)
    return BucklerError(
        "FEATURE_NOT_ENTITLED", message, next_step=next_step, exit_status=ExitStatus.NEGATIVE, facts=facts
    )


def _dates(access: Access, claims: Claims | None) -> list[tuple[str, str, str]]:
    """Name, day and clause of each date that explains the access."""
    dates = []
    if claims is not None and claims.paid_until is not None and access.level is not AccessLevel.UNLICENSED:
        day = f"{claims.paid_until:%Y-%m-%d}"
        dates.append(("paid_until", day, f"paid until {day}"))
    if access.until is not None:
        day = f"{access.until:%Y-%m-%d}"
        dates.append(("access_until", day, f"which changes on {day} if nothing happens"))
    return dates

"""What may this device do, why, and what brings the rest back?"""

from dataclasses import replace
from datetime import datetime

from agent.support.check import Check
from agent.support.checkup import STILL_PROTECTED, CheckResult, Fixer, failing, passing, unknown, warning
from agent.support.surroundings import DeviceSeen, EntitlementSeen, Surroundings

_FLOOR = f"{STILL_PROTECTED}; blocking mode, schedules and remote commands are off"
#: Reasons that the owner of the account has to settle, each told under its own code.
PAYMENT = frozenset({"PAYMENT_OVERDUE", "PAYMENT_FAILED", "PAYMENT_DISPUTED", "PURCHASE_INCOMPLETE"})


def look(around: Surroundings) -> CheckResult:
    """Verified anew from what lies on the disk: signature, device, dates."""
    device, now = around.device(), around.clock.now()
    seen = device.entitlement
    if not device.activated or seen is None:
        return unknown("this device is not activated", "buckler activate --server HOST:PORT")
    if seen.refused:
        return replace(
            failing(
                "ENTITLEMENT_REFUSED",
                f"the entitlement on this device must not be trusted ({seen.refused})",
                effect=_FLOOR,
                fixer=Fixer.USER,
                next_step="let this device reach its control plane once, or run `buckler activate` again",
            ),
            fixable=around.agent().running and bool(device.device_server),
        )
    if seen.reason == "NO_CONTACT":
        return replace(_no_contact(seen, device), fixable=around.agent().running)
    if seen.level in {"limited", "ended"}:
        return _explained(seen, stale=_is_stale(seen, device, now), agent_runs=around.agent().running)
    if _is_stale(seen, device, now):
        return replace(_stale(seen), fixable=around.agent().running)
    if seen.level == "grace":
        return _grace(seen)
    until = f", paid until {seen.paid_until:%Y-%m-%d}" if seen.paid_until else ""
    return passing(f"access is {seen.level} ({seen.reason}){until}")


def _is_stale(seen: EntitlementSeen, device: DeviceSeen, now: datetime) -> bool:
    """A newer statement should have been fetched twice over by now; what it would say, nobody here knows."""
    if not device.device_server or seen.refresh_after is None or seen.issued_at is None:
        return False
    return now > seen.refresh_after + (seen.refresh_after - seen.issued_at)


def _stale(seen: EntitlementSeen) -> CheckResult:
    return warning(
        "TOKEN_STALE",
        f"the entitlement is from {seen.issued_at:%Y-%m-%d %H:%M} UTC and should have been renewed since",
        effect=f"{STILL_PROTECTED}; what was paid meanwhile is not known here",
        fixer=Fixer.USER,
        next_step="buckler doctor --fix has the agent ask now; otherwise let this device reach its control plane",
    )


def _no_contact(seen: EntitlementSeen, device: DeviceSeen) -> CheckResult:
    last = f"{device.last_check_in:%Y-%m-%d %H:%M} UTC" if device.last_check_in else "not known"
    until = f", which ends on {seen.until:%Y-%m-%d}" if seen.until else ""
    result = failing if seen.level == "limited" else warning
    return result(
        "TOKEN_EXPIRED",
        f"access is {seen.level}{until}, for want of contact: the last one was {last}",
        effect=_FLOOR if seen.level == "limited" else STILL_PROTECTED,
        fixer=Fixer.USER,
        next_step=seen.way_back,
    )


def _explained(seen: EntitlementSeen, *, stale: bool, agent_runs: bool) -> CheckResult:
    paid = f"; paid until {seen.paid_until:%Y-%m-%d}" if seen.paid_until else ""
    age = "; this may be out of date" if stale else ""
    return replace(
        failing(
            seen.reason,
            f"access is {seen.level} ({seen.reason}){paid}{age}",
            effect=_FLOOR,
            fixer=Fixer.OWNER,
            next_step=seen.way_back,
        ),
        fixable=stale and agent_runs,
    )


def _grace(seen: EntitlementSeen) -> CheckResult:
    until = f" until {seen.until:%Y-%m-%d}" if seen.until else ""
    why = "a payment is open" if seen.reason in PAYMENT else seen.reason
    return warning(
        seen.reason,
        f"access is grace{until}: {why}",
        effect=STILL_PROTECTED,
        fixer=Fixer.OWNER,
        next_step=seen.way_back,
    )


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Have the agent ask the control plane now."""
    return around.repairs.ask_server_again()


CHECK = Check("entitlement", "this device may do what was paid for", look, mend)

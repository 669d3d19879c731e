"""Does anybody listen where the control plane should be?"""

from agent.support.check import Check
from agent.support.checks.dns import NO_SERVER
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Fault, Stage, Surroundings, WaySeen


def look(around: Surroundings) -> CheckResult:
    """Both ports: where devices are activated, and where they check in."""
    ways = [way for way in (around.way(), around.device_way()) if way is not None]
    if not ways:
        return unknown(NO_SERVER)
    if not all(way.reached(Stage.NAME) for way in ways):
        return unknown("its name is not known")
    closed = next((way for way in ways if not way.reached(Stage.PORT)), None)
    if closed is not None:
        return _closed(closed, only_one=len(ways) > 1 and any(way.reached(Stage.PORT) for way in ways))
    return passing(f"connections are accepted at {' and '.join(way.target for way in ways)}")


def _closed(way: WaySeen, *, only_one: bool) -> CheckResult:
    if way.fault is Fault.REFUSED:
        why, step = f"nothing listens at {way.target}", "have the control plane started there, or correct its address"
    else:
        why = f"{way.target} does not answer ({way.detail})"
        step = f"have the firewall let this device connect to {way.target} (TCP)"
    if only_one:
        why += "; its other port answers"
    return failing(
        "NET_PORT",
        why,
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.OPERATOR if way.fault is Fault.REFUSED else Fixer.NETWORK,
        next_step=f"{step}; the agent tries again by itself",
    )


CHECK = Check("port", "the control plane accepts connections", look)

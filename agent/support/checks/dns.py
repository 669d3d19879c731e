"""Does the control plane's name stand for an address?"""

from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Stage, Surroundings

NO_SERVER = "no control plane is known: this device was activated with a file, or never"


def look(around: Surroundings) -> CheckResult:
    """The system's own resolver, as the agent uses it."""
    way = around.way()
    if way is None:
        return unknown(NO_SERVER)
    if not way.reached(Stage.NAME):
        return failing(
            "NET_DNS",
            f"the name of {way.target} is not known: {way.detail}",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.NETWORK,
            next_step="check this device's name servers (`resolvectl status`, /etc/resolv.conf) and the spelling of "
            "the control plane's name",
        )
    return passing(f"the name of {way.target} stands for {', '.join(way.addresses)}")


CHECK = Check("dns", "the control plane's name is known", look)

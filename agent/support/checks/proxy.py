"""Does this network want a proxy to be used? Buckler connects directly."""

from agent.support.check import Check
from agent.support.checks.dns import NO_SERVER
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Fault, Stage, Surroundings

_BLOCKED = frozenset({Fault.REFUSED, Fault.SILENT, Fault.NAME_UNKNOWN})


def look(around: Surroundings) -> CheckResult:
    """A proxy in the environment counts only once the direct way is closed."""
    way, proxies = around.way(), around.machine.proxies()
    named = ", ".join(f"{variable} ({value})" for variable, value in sorted(proxies.items()))
    if way is None:
        return unknown(NO_SERVER)
    if not proxies:
        return passing("no proxy is configured here")
    if way.reached(Stage.PORT) or way.fault not in _BLOCKED:
        return passing(f"{named} is configured; the direct way to {way.target}, which Buckler takes, is open")
    return failing(
        "NET_PROXY",
        f"{way.target} cannot be reached directly, and this network wants a proxy: {named}",
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.NETWORK,
        next_step=f"allow this device to connect to {way.target} without the proxy; Buckler speaks through none",
    )


CHECK = Check("proxy", "no proxy is in the way", look)

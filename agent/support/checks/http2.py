"""Does HTTP/2 come through? gRPC needs it, and some middleboxes cut it."""

from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Fault, Stage, Surroundings


def look(around: Surroundings) -> CheckResult:
    """Agreed on in the handshake, then spoken: the first frame has to be the other side's settings."""
    way = around.way()
    if way is None or not way.reached(Stage.TLS):
        return unknown("there is no TLS to speak it over")
    if way.reached(Stage.HTTP2):
        return passing(f"{way.target} speaks HTTP/2")
    named = way.middlebox or f"with a certificate from {way.issuer}" if way.issuer else way.middlebox
    who = f" ({named})" if named else ""
    if way.fault is Fault.NOT_OFFERED:
        why = f"whoever answers at {way.target}{who} does not offer HTTP/2"
    else:
        why = f"HTTP/2 to {way.target} is agreed on and then cut{who}: {way.detail}"
    return failing(
        "NET_HTTP2",
        why,
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.NETWORK,
        next_step=f"have the proxy, firewall or load balancer in between let HTTP/2 (ALPN h2) through to {way.target}",
    )


CHECK = Check("http2", "HTTP/2 comes through", look)

"""Is whoever answers the control plane, or somebody in between?"""

from agent.domain.errors import BucklerError
from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Fault, Stage, Surroundings, WaySeen


def look(around: Surroundings) -> CheckResult:
    """The certificate, judged as the agent judges it; its issuer is named."""
    way = around.way()
    if way is None or not way.reached(Stage.PORT):
        return unknown("there is no connection to look at")
    if way.reached(Stage.TLS):
        return passing(f"the certificate of {way.target} comes from {way.issuer}")
    match way.fault:
        case Fault.UNKNOWN_AUTHORITY:
            return _intercepted(way, is_known=_is_activated(around))
        case Fault.EXPIRED:
            return _bad(
                "SERVER_CERTIFICATE_EXPIRED",
                f"the certificate of {way.target} has expired",
                "tell the control plane's operator to renew it; if it is not old, set this device's clock",
            )
        case Fault.NOT_YET_VALID:
            return _bad(
                "SERVER_CERTIFICATE_NOT_YET_VALID",
                f"the certificate of {way.target} is not valid yet",
                "set this device's clock; if it is right, tell the control plane's operator",
            )
        case Fault.OTHER_NAME:
            return _bad(
                "SERVER_CERTIFICATE_OTHER_NAME",
                f"the certificate of {way.target} is for another name (issued by {way.issuer or 'nobody named'})",
                "use the name the certificate carries, or have this one added to it",
            )
        case _:
            named = f", which calls itself {way.middlebox}," if way.middlebox else ""
            return _bad(
                "NET_NO_TLS",
                f"whoever answers at {way.target}{named} does not speak TLS",
                "check host and port; on a guest network, sign in to it first (a captive portal answers for everybody)",
            )


def _is_activated(around: Surroundings) -> bool:
    """Then the authority is known, and was another one."""
    try:
        return around.device().activated
    except (BucklerError, OSError):
        return False


def _intercepted(way: WaySeen, *, is_known: bool) -> CheckResult:
    exempt = f"exempt {way.target} from TLS inspection"
    give = "give the control plane's own authority with --ca FILE"
    return failing(
        "NET_TLS_INTERCEPT",
        f"{way.target} shows a certificate from {way.issuer or 'an authority without a name'}, which this device does "
        "not know: TLS is opened on the way, or that is the control plane's own authority",
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.NETWORK if is_known else Fixer.USER,
        next_step=f"{exempt}; if the control plane was set up anew, {give}"
        if is_known
        else f"{give}; if the certificate is not from it, {exempt}",
    )


def _bad(code: str, evidence: str, next_step: str) -> CheckResult:
    return failing(code, evidence, effect=NO_CONTACT_EFFECT, fixer=Fixer.OPERATOR, next_step=next_step)


CHECK = Check("tls", "nobody opens TLS on the way", look)

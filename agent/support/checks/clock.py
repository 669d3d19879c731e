"""Does this device know what time it is?"""

from datetime import datetime, timedelta

from agent.domain.errors import BucklerError
from agent.support.check import Check
from agent.support.checkup import STILL_PROTECTED, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings

#: An entitlement that is ahead of the clock by more is refused: `agent.domain.entitlement.FUTURE_TOLERANCE`.
TOLERANCE = timedelta(minutes=5)


def look(around: Surroundings) -> CheckResult:
    """The control plane's clock where it can be asked, else the latest time that was ever seen."""
    now = around.clock.now()
    server = _server_time(around)
    if server is not None:
        time, measured_at = server
        ahead = measured_at - time
        if abs(ahead) > TOLERANCE:
            return _skewed(ahead, f"the control plane says {time:%Y-%m-%d %H:%M} UTC")
        return passing(f"within {_span(abs(ahead))} of the control plane's clock")
    device = around.device()
    entitlement, certificate = device.entitlement, device.certificate
    seen = (
        device.mark,
        entitlement.issued_at if entitlement else None,
        certificate.not_before if certificate else None,
    )
    latest = max((time for time in seen if time is not None), default=None)
    if latest is not None and latest - now > TOLERANCE:
        return _skewed(now - latest, f"something was signed or seen at {latest:%Y-%m-%d %H:%M} UTC already")
    if latest is None:
        return unknown("there is nothing to compare the clock with")
    return passing("not behind anything that was seen; whether it is ahead, only the control plane could say")


def _server_time(around: Surroundings) -> tuple[datetime, datetime] | None:
    try:
        server = around.server()
    except BucklerError:
        return None
    if server is None or server.time is None or server.measured_at is None:
        return None
    return server.time, server.measured_at


def _skewed(ahead: timedelta, why: str) -> CheckResult:
    sign = "+" if ahead > timedelta(0) else "-"
    return failing(
        "CLOCK_SKEW",
        f"this device's clock is off by {sign}{_span(abs(ahead))}: {why}",
        effect=f"{STILL_PROTECTED}; certificates and entitlements may be refused",
        fixer=Fixer.ADMINISTRATOR,
        next_step="set the clock: `timedatectl set-ntp true` (Linux), `sntp -sS time.apple.com` (macOS), "
        "`w32tm /resync` (Windows)",
    )


def _span(span: timedelta) -> str:
    """`3 h 12 m`, `4 d 2 h`, `12 s`."""
    seconds = int(span.total_seconds())
    for unit, size, lower, lower_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // lower_size} {lower}"
    return f"{seconds} s"


CHECK = Check("clock", "the clock is right", look)

"""Is the device's certificate in force?"""

from datetime import timedelta

from agent.support.check import Check
from agent.support.checkup import (
    NO_CONTACT_EFFECT,
    STILL_PROTECTED,
    CheckResult,
    Fixer,
    failing,
    passing,
    unknown,
    warning,
)
from agent.support.surroundings import Surroundings

#: The agent renews its certificate in the last third of its life; less than this left means that it could not.
SOON = timedelta(days=3)
_AGAIN = "run `buckler activate` again with a key of the same account; the seat is kept"


def look(around: Surroundings) -> CheckResult:
    """Dates, and whether it belongs to the key."""
    device, now = around.device(), around.clock.now()
    certificate = device.certificate
    if certificate is None:
        why = "activated with a file, which needs none" if device.activated else "this device is not activated"
        return unknown(f"there is no device certificate: {why}")
    if device.has_key and device.key_problem is None and not certificate.is_of_key:
        return failing(
            "CERTIFICATE_OF_OTHER_KEY",
            "the device certificate belongs to another key than the one in the data folder",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.ADMINISTRATOR,
            next_step=_AGAIN,
        )
    until = f"{certificate.not_after:%Y-%m-%d %H:%M} UTC"
    if now >= certificate.not_after:
        return failing(
            "CERTIFICATE_EXPIRED",
            f"the device certificate was valid until {until}: the device was away for longer",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.USER,
            next_step=_AGAIN,
        )
    if certificate.not_after - now < SOON:
        return warning(
            "CERTIFICATE_EXPIRES_SOON",
            f"the device certificate is valid until {until} and has not been renewed",
            effect=STILL_PROTECTED,
            fixer=Fixer.USER,
            next_step="let this device reach its control plane: it renews the certificate by itself",
        )
    return passing(f"the device certificate is valid until {until}")


CHECK = Check("certificate", "the device certificate is in force", look)

"""What became of the last activation?"""

from agent.support.check import Check
from agent.support.checkup import STILL_PROTECTED, CheckResult, Fixer, failing, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: Refusals by who can do something about them; the others are the owner's.
FIXERS = {
    "KEY_MISTYPED": Fixer.USER,
    "SERVER_BUSY": Fixer.OPERATOR,
    "SERVER_ERROR": Fixer.OPERATOR,
    "SEAT_COOL_DOWN": Fixer.USER,
    "ALREADY_ACTIVATED": Fixer.USER,
    "DEVICE_REPLACED": Fixer.USER,
    "ENTITLEMENT_REFUSED": Fixer.ADMINISTRATOR,
}


def look(around: Surroundings) -> CheckResult:
    """The refusal as it was told, kept until an activation succeeds."""
    device = around.device()
    refusal = device.refusal
    if device.attempt:
        return warning(
            "ACTIVATION_UNFINISHED",
            f"an activation at {device.attempt} never got its answer",
            effect=STILL_PROTECTED,
            fixer=Fixer.USER,
            next_step=f"run `buckler activate --server {device.attempt}` again with the same key; no seat is lost",
        )
    if refusal is not None and not device.activated:
        return failing(
            refusal.code,
            f"the activation of {refusal.at:%Y-%m-%d %H:%M} UTC was refused: {refusal.message}",
            effect=f"{STILL_PROTECTED}; what the plan adds is missing",
            fixer=FIXERS.get(refusal.code, Fixer.OWNER),
            next_step=refusal.next_step,
        )
    if refusal is not None:
        return warning(
            refusal.code,
            f"another activation, of {refusal.at:%Y-%m-%d %H:%M} UTC, was refused: {refusal.message}",
            effect=STILL_PROTECTED,
            fixer=FIXERS.get(refusal.code, Fixer.OWNER),
            next_step=refusal.next_step,
        )
    if not device.activated:
        return unknown("this device was never activated", "buckler activate --server HOST:PORT")
    return passing(f"activated at {device.server}" if device.server else "activated with a licence file")


CHECK = Check("activation", "the last activation succeeded", look)

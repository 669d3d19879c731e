"""Do detections reach the control plane?"""

from agent.domain.counting import counted
from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, STILL_PROTECTED, CheckResult, Fixer, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: A device in contact reports within seconds; more than this is a jam.
MANY = 500


def look(around: Surroundings) -> CheckResult:
    """Rows that wait, were refused, or were lost."""
    device = around.device()
    if not device.known:
        return unknown("there is no database yet")
    lost = sum(device.dropped.values())
    if lost or device.set_aside:
        return warning(
            "OUTBOX_LOST",
            f"{counted(lost, 'detection')} dropped, and {device.set_aside} refused for good by the control plane",
            effect=f"{STILL_PROTECTED}; the control plane's history has gaps",
            fixer=Fixer.OPERATOR,
            next_step="update the control plane, and let this device reach it more often",
        )
    if device.pending > MANY:
        return warning(
            "OUTBOX_STUCK",
            f"{counted(device.pending, 'detection')} waiting to be reported",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.USER,
            next_step="let this device reach its control plane; the network check-ups say what is in the way",
        )
    return passing(f"{counted(device.pending, 'detection')} waiting to be reported")


CHECK = Check("outbox", "detections reach the control plane", look)

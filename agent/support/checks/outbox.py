"""Do detections reach the control plane?"""

from agent.domain.counting import counted
from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, STILL_PROTECTED, CheckResult, Fixer, passing, unknown, warning
from agent.support.surroundings import AgentSeen, Surroundings

#: A device in contact reports within seconds; more than this is a jam.
MANY = 500
#: There is nobody to report to, and that is no trouble.
NOBODY_THERE = "NOT_ENROLLED"


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
    held_up = _held_up(around.agent(), device.pending)
    if held_up is not None:
        return held_up
    if device.pending > MANY:
        return warning(
            "OUTBOX_STUCK",
            f"{counted(device.pending, 'detection')} waiting to be reported",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.USER,
            next_step="let this device reach its control plane; the network check-ups say what is in the way",
        )
    return passing(f"{counted(device.pending, 'detection')} waiting to be reported")


def _held_up(agent: AgentSeen, pending: int) -> CheckResult | None:
    """What the control plane, which the agent does reach, has against the reports; None: nothing."""
    code, _, message = agent.text("outbox_error").partition(": ")
    # Where there is no contact at all, other check-ups say why.
    if not code or code == NOBODY_THERE or agent.text("last_contact_error"):
        return None
    return warning(
        code,
        f"{counted(pending, 'detection')} waiting to be reported, and the last attempt failed: {message}",
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.OPERATOR,
        next_step=agent.text("outbox_next_step"),
    )


CHECK = Check("outbox", "detections reach the control plane", look)

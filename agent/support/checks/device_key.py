"""Can this device prove who it is?"""

from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """The key is there, is ours, and is one."""
    device = around.device()
    problem = device.key_problem
    if problem is not None and problem.code == "DEVICE_KEY_UNREADABLE" and around.machine.user() != 0:
        return unknown(problem.message, problem.next_step)
    if problem is not None:
        return failing(
            problem.code,
            problem.message,
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.ADMINISTRATOR,
            next_step=problem.next_step,
        )
    if device.activated and not device.has_key:
        return failing(
            "DEVICE_KEY_MISSING",
            f"this device is activated, but {around.place.device_key} is not there",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.ADMINISTRATOR,
            next_step="bring the file back from a backup, or run `buckler activate` again for a new identity",
        )
    if not device.has_key:
        return unknown("there is no device key yet: this device was never activated")
    return passing("the device key can be read")


CHECK = Check("device_key", "this device can prove who it is", look)

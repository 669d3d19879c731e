"""Does the control plane answer, once everything on the way there works?"""

from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """The server's trouble is told apart from the network's: here the network has been proven to work."""
    server = around.server()
    if server is None:
        return unknown("the way to the control plane does not lead there")
    if server.problem is not None:
        return failing(
            "SVC_UNAVAILABLE",
            f"the network is in order, the control plane is not: {server.problem.message}",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.OPERATOR,
            next_step="nothing has to be done here: the agent tries again by itself; tell the operator if it stays",
        )
    return passing(f"the control plane answers, version {server.version or 'unknown'}")


CHECK = Check("server", "the control plane answers", look)

"""Does the running agent get through, with its own certificate?"""

from dataclasses import replace

from agent.support.check import Check
from agent.support.checkup import NO_CONTACT_EFFECT, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings

#: The control plane itself said no to this device; everything else is the network's or the server's trouble.
REFUSED_BY_SERVER = frozenset(
    {"DEVICE_REVOKED", "DEVICE_DEACTIVATED", "DEVICE_REPLACED", "DEVICE_NOT_FOUND", "DEVICE_CLONED"}
)
#: What the agent says itself when the two no longer trust each other.
REFUSED_HERE = frozenset({"CERTIFICATE_EXPIRED", "ENTITLEMENT_REFUSED"})


def look(around: Surroundings) -> CheckResult:
    """What the agent remembers of its last attempt."""
    agent = around.agent()
    if not agent.running:
        return unknown("no agent answers")
    code, _, message = agent.text("last_contact_error").partition(": ")
    if not code:
        last = agent.text("last_check_in")
        return passing(f"the last check-in was at {last}") if last else unknown("this device checks in nowhere")
    refused = code in REFUSED_BY_SERVER | REFUSED_HERE
    result = failing(
        code,
        message,
        effect=NO_CONTACT_EFFECT,
        fixer=Fixer.OWNER if refused else Fixer.OPERATOR,
        next_step=agent.text("last_contact_next_step") or "run `buckler activate` again: this device keeps its identity"
        if refused
        else "nothing has to be done here: the agent tries again by itself",
    )
    return replace(result, fixable=not refused)


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Do not wait for the next attempt."""
    return around.repairs.ask_server_again()


CHECK = Check("contact", "the agent reaches the control plane", look, mend)

"""Does an agent run here and answer?"""

from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """Asked over its reading socket, which every user of the device may use."""
    agent = around.agent()
    problem = agent.problem
    if problem is not None and problem.code == "NOT_PERMITTED":
        return unknown(problem.message, problem.next_step)
    if problem is not None:
        return failing(
            problem.code,
            problem.message,
            effect="whether files are watched cannot be said",
            fixer=Fixer.ADMINISTRATOR,
            next_step="buckler service stop, then buckler service start; if it happens again, tell support",
        )
    if not agent.running:
        return failing(
            "AGENT_NOT_RUNNING",
            "no agent runs here",
            effect=NOT_PROTECTED,
            fixer=Fixer.ADMINISTRATOR,
            next_step="buckler service install, or `buckler run` in a terminal to see why it does not start",
        )
    return passing(f"an agent answers, version {agent.text('app_version') or 'unknown'}")


CHECK = Check("agent", "an agent runs", look)

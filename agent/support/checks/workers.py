"""Do the scan workers and the parts of the agent stay alive?"""

from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, failing, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: Restarts since the start of the agent that are told.
MANY_RESTARTS = 3


def look(around: Surroundings) -> CheckResult:
    """Alive, and not replaced again and again."""
    agent = around.agent()
    if not agent.running:
        return unknown("no agent answers")
    told = next((line for line in agent.lines("health_issues") if line.startswith("scanner_unavailable")), "")
    alive = int(agent.number("scan_workers"))
    if told or not alive:
        return failing(
            "SCANNER_UNAVAILABLE",
            told.partition(": ")[2] or "no scan worker is alive",
            effect="files are watched, but none is scanned",
            fixer=Fixer.ADMINISTRATOR,
            next_step="check free memory and the rule files; then buckler service stop and buckler service start",
        )
    parts = agent.lines("part_restarts")
    replaced = int(agent.number("worker_restarts"))
    if parts or replaced > MANY_RESTARTS:
        named = ", ".join(parts) or "none"
        return warning(
            "PARTS_RESTARTED",
            f"{replaced} scan workers were replaced; parts of the agent started again: {named}",
            effect="files are watched and scanned, with short gaps",
            fixer=Fixer.SUPPORT,
            next_step="send support the newest file of the folder crash-reports in the data folder",
        )
    return passing(f"{alive} scan workers are alive")


CHECK = Check("workers", "scan workers are alive", look)

"""Does the agent keep within what it may use, and what costs most?"""

from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, passing, unknown, warning
from agent.support.surroundings import AgentSeen, Surroundings

#: Files that wait; more means that scanning is slower than what is written.
LONG_QUEUE = 1_000


def look(around: Surroundings) -> CheckResult:
    """What the governor says."""
    agent = around.agent()
    if not agent.running:
        return unknown("no agent answers")
    stage, waiting = agent.text("resource_governor"), int(agent.number("queue_depth"))
    if stage in {"warned", "throttled"}:
        why = agent.text("resource_governor_reason") or "no reason is told"
        return _costly("RESOURCES_EXCEEDED", f"scanning is {stage}: {why}; {_usage(agent)}")
    if waiting > LONG_QUEUE:
        return _costly("SCAN_QUEUE_LONG", f"{waiting} files wait for a scan; {_usage(agent)}")
    return passing(_usage(agent))


def _usage(agent: AgentSeen) -> str:
    now = agent.text("current_file")
    scanning = f", scanning {now}" if now else ""
    peaks = f"at most {agent.text('cpu_percent_peak')} % and {agent.text('memory_mb_peak')} MiB"
    return f"{agent.text('cpu_percent')} % of a core and {agent.text('memory_mb')} MiB now, {peaks}{scanning}"


def _costly(code: str, evidence: str) -> CheckResult:
    return warning(
        code,
        evidence,
        effect="files are watched; verdicts come later than usual",
        fixer=Fixer.ADMINISTRATOR,
        next_step="see what costs most with `buckler scan --profile DIR`; exclude it with `buckler exclusion add`, or "
        "raise [resources]",
    )


CHECK = Check("resources", "the agent keeps within its limits", look)

"""Are files really watched? The event source, the watched folders and the proof."""

from agent.domain.counting import counted
from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: Issues that leave something unwatched; the others are told as a warning (docs/status.md names them all).
_UNWATCHED = frozenset({"real_time_off", "source_down", "root_lost", "protection_unproven", "blocking_unavailable"})
#: Told by the check-ups of their own.
_ELSEWHERE = frozenset({"scanner_unavailable", "entitlement_refused", "device_key_unusable", "agent_not_running"})
_STEPS = {
    "root_lost": "bring the folder back or take it out of [realtime] roots; it is looked for every 10 s",
    "watch_limit": "raise the limit the message names, for example with sysctl",
    "degraded": "wait: what may have been missed is looked over by itself",
    "scanner_not_confined": "update the kernel, or run the agent as root, so that scan workers can be confined",
}


def look(around: Surroundings) -> CheckResult:
    """What the agent says stands between this device and the word "protected"."""
    agent = around.agent()
    if not agent.running:
        return unknown("no agent answers")
    told = [line.partition(": ") for line in agent.lines("health_issues")]
    issues = [(code, message) for code, _, message in told if code not in _ELSEWHERE]
    issues.sort(key=lambda issue: issue[0] not in _UNWATCHED)
    if not issues:
        roots = len(agent.lines("watched_roots"))
        return passing(
            f"{agent.text('real_time_protection_subsystem')} watches {counted(roots, 'folder')}, proven by a test file"
        )
    code, message = issues[0]
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    step = _STEPS.get(code, "see `buckler status` and docs/status.md; buckler service stop and start begins anew")
    if code in _UNWATCHED:
        effect = NOT_PROTECTED if code != "root_lost" else "this folder is not watched, the others are"
        return failing(code.upper(), message + more, effect=effect, fixer=Fixer.ADMINISTRATOR, next_step=step)
    effect = "files are watched, less well than they could be"
    return warning(code.upper(), message + more, effect=effect, fixer=Fixer.ADMINISTRATOR, next_step=step)


CHECK = Check("protection", "files are watched, proven by a test", look)

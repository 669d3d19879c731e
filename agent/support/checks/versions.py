"""Do agent and control plane understand each other?"""

from agent.support.check import Check
from agent.support.checkup import (
    NO_CONTACT_EFFECT,
    STILL_PROTECTED,
    CheckResult,
    Fixer,
    failing,
    passing,
    unknown,
    warning,
)
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """The program asked, the one that runs, and the control plane's."""
    ours, running = around.place.version, around.agent().text("app_version")
    if running and running != ours:
        return warning(
            "VERSION_OF_AGENT_OLD",
            f"this program is version {ours}, the running agent is {running}",
            effect=f"{STILL_PROTECTED}, by the version of before",
            fixer=Fixer.ADMINISTRATOR,
            next_step="buckler service stop, then buckler service start",
        )
    server = around.server()
    if server is None or not server.version:
        return unknown(f"this agent is version {ours}; the control plane's is not known")
    both = f"this agent is version {ours}, the control plane {server.version}"
    if server.oldest_agent and _numbers(ours) < _numbers(server.oldest_agent):
        return failing(
            "VERSION_TOO_OLD",
            f"{both}, which serves agents from {server.oldest_agent} on",
            effect=NO_CONTACT_EFFECT,
            fixer=Fixer.ADMINISTRATOR,
            next_step="install the newest version of Buckler on this device",
        )
    if _numbers(server.version)[:2] < _numbers(ours)[:2]:
        return warning(
            "VERSION_SKEW",
            f"{both}: older than this agent",
            effect=f"{STILL_PROTECTED}; what is new in this agent is not seen there",
            fixer=Fixer.OPERATOR,
            next_step="have the control plane updated: it should never be older than its agents",
        )
    return passing(both)


def _numbers(version: str) -> tuple[int, ...]:
    """`0.10.2rc1` as (0, 10, 2)."""
    parts = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


CHECK = Check("versions", "agent and control plane fit together", look)

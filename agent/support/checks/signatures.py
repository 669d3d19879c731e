"""How old are the rules?"""

from datetime import timedelta

from agent.domain.counting import counted
from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, passing, unknown, warning
from agent.support.surroundings import Surroundings

#: Rules change with every release; older than this, a newer one exists: our own release rhythm.
OLD = timedelta(days=45)


def look(around: Surroundings) -> CheckResult:
    """Those of the running agent, else those that are installed."""
    agent = around.agent()
    version, age = agent.text("signatures_version"), None
    if agent.running and version:
        hours = agent.fields.get("signatures_age_hours")
        age = timedelta(hours=float(hours)) if isinstance(hours, int | float) else None
    else:
        scan = around.scan()
        version, age = scan.rules_version, around.clock.now() - scan.made_at if scan.made_at else None
    if age is None:
        return unknown(f"rules {version or 'unknown'} do not say when they were made")
    if age > OLD:
        return warning(
            "SIGNATURES_OLD",
            f"rules {version} are {counted(age.days, 'day')} old",
            effect="files are watched and scanned; what is newer than the rules may not be found",
            fixer=Fixer.ADMINISTRATOR,
            next_step="install the newest version of Buckler, which brings newer rules",
        )
    return passing(f"rules {version} are {counted(max(age.days, 0), 'day')} old")


CHECK = Check("signatures", "rules are not old", look)

"""Does another security product watch the same files?"""

from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, passing, warning
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """Two products that hold files as they are opened wait for each other."""
    others = around.machine.competitors()
    if not others:
        return passing("no other product that watches files is running")
    named = ", ".join(others)
    return warning(
        "CONFLICT_AV",
        f"{named} is running and watches files too",
        effect="files are watched, but opening them may be slow or hang while both look at them",
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"keep one of them: remove {named} with its own uninstaller and restart, or exclude each other's "
        "folders and leave Buckler in mode notify",
    )


CHECK = Check("conflicts", "no other product watches the same files", look)

"""Can the settings be read, and where do they come from?"""

from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """The agent refuses to start with a setting it cannot read, so that no typing error leaves a folder unwatched."""
    place = around.place
    if place.config_problem is not None:
        return failing(
            place.config_problem.code,
            place.config_problem.message,
            effect=f"{NOT_PROTECTED} once the agent is started again",
            fixer=Fixer.ADMINISTRATOR,
            next_step=place.config_problem.next_step,
        )
    origins = ", then ".join(place.origins) or "no file and no variable, so all settings are the usual ones"
    return passing(f"settings come from {origins}" if place.origins else origins)


CHECK = Check("configuration", "settings can be read", look)

"""Is the agent's database whole?"""

from dataclasses import replace

from agent.domain.errors import BucklerError
from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing, unknown
from agent.support.surroundings import Surroundings

_DAMAGED = "DATABASE_DAMAGED"
#: They pass, or say that this user may not know.
_NO_FINDING = frozenset({"DATABASE_BUSY", "DATABASE_NOT_PERMITTED"})


def look(around: Surroundings) -> CheckResult:
    """SQLite's own check, without changing a byte."""
    try:
        found = around.database()
    except BucklerError as error:
        return _finding(error)
    return passing(found) if found else unknown("there is no database yet: no agent has run here")


def _finding(error: BucklerError) -> CheckResult:
    if error.code in _NO_FINDING:
        return unknown(error.message, error.next_step)
    damaged = error.code == _DAMAGED
    repair = "stop the agent (`buckler service stop`), then `buckler doctor --fix`: what can be read is kept"
    result = failing(
        error.code,
        error.message,
        effect=f"{NOT_PROTECTED} once the agent is started again; the vault stays as it is",
        fixer=Fixer.ADMINISTRATOR,
        next_step=repair if damaged else error.next_step,
    )
    return replace(result, fixable=damaged)


def mend(around: Surroundings, _result: CheckResult) -> str:
    """Keep what can be read."""
    return around.repairs.rebuild_database()


CHECK = Check("database", "the database is whole", look, mend)

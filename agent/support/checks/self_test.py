"""Is the EICAR test file found by a scan worker, without the agent?"""

from agent.domain.errors import BucklerError
from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, failing, passing
from agent.support.surroundings import Surroundings

_STEP = "install Buckler again: settings and quarantine stay; if it stays, tell support this line"


def look(around: Surroundings) -> CheckResult:
    """A harmless file every scanner knows, kept in memory so that nobody takes it away."""
    try:
        scan = around.scan()
    except BucklerError as error:
        return _failed(error.code, error.message, error.next_step)
    if scan.incomplete:
        return _failed("SELF_TEST_FAILED", f"the EICAR test file was not wholly scanned: {scan.incomplete}", _STEP)
    if not scan.found:
        return _failed("SELF_TEST_FAILED", f"rules {scan.rules_version} do not find the EICAR test file", _STEP)
    return passing(f"a scan worker finds the EICAR test file with rules {scan.rules_version}")


def _failed(code: str, evidence: str, next_step: str) -> CheckResult:
    effect = "files are watched, but what is malicious may not be found"
    return failing(code, evidence, effect=effect, fixer=Fixer.ADMINISTRATOR, next_step=next_step)


CHECK = Check("self_test", "a scan finds the EICAR test file", look)

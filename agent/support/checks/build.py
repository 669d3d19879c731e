"""Is this the right program for this machine?"""

from agent.support.check import Check
from agent.support.checkup import NOT_PROTECTED, CheckResult, Fixer, failing, passing
from agent.support.surroundings import Surroundings

#: What Buckler is made for (pyproject.toml: requires-python; docs/operations.md).
_SYSTEMS = ("linux", "macos", "windows")
_OLDEST_PYTHON = (3, 11)


def look(around: Surroundings) -> CheckResult:
    """Architecture, system, interpreter, and libraries that load."""
    build = around.machine.build()
    found = f"{build.system} on {build.machine}, program for {build.built_for}, Python {_dotted(build.python)}"
    if build.system not in _SYSTEMS:
        why = f"{found}; there is no Buckler for {build.system}"
    elif build.machine != build.built_for:
        why = f"{found}; the program is for another processor"
    elif build.python < _OLDEST_PYTHON:
        why = f"{found}; Buckler needs Python {_dotted(_OLDEST_PYTHON)} or later"
    elif build.broken:
        named = ", ".join(f"{name} ({reason})" for name, reason in sorted(build.broken.items()))
        why = f"{found}; these libraries do not load here: {named}"
    else:
        return passing(found)
    return failing(
        "PLATFORM_MISMATCH",
        why,
        effect=NOT_PROTECTED,
        fixer=Fixer.ADMINISTRATOR,
        next_step=f"install the package for {build.system} on {build.machine}; settings and quarantine stay",
    )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


CHECK = Check("build", "the program fits this machine", look)

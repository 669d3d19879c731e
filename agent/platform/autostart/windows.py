"""Where Windows looks for what to start by itself: the Run keys of the registry and the Startup folders."""

import sys
from collections.abc import Iterator

#: Patterns from the top of the system drive.
SYSTEM_PATTERNS = ("ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp/*",)
#: Patterns from each home folder.
HOME_PATTERNS = ("AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup/*",)
_RUN_KEYS = (
    r"Software\Microsoft\Windows\CurrentVersion\Run",
    r"Software\Microsoft\Windows\CurrentVersion\RunOnce",
    r"Software\WOW6432Node\Microsoft\Windows\CurrentVersion\Run",
)


def run_key_commands() -> Iterator[str]:
    """The command lines in the Run keys of the machine and of this user."""
    if sys.platform == "win32":
        import winreg

        for hive in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
            for name in _RUN_KEYS:
                try:
                    with winreg.OpenKey(hive, name) as key:
                        for number in range(winreg.QueryInfoKey(key)[1]):
                            yield str(winreg.EnumValue(key, number)[1])
                except OSError:
                    continue
    yield from ()

"""Which supervisor this system has."""

import sys

from agent.domain.ports import ServiceSupervisor
from agent.platform.services.linux import Systemd
from agent.platform.services.macos import Launchd
from agent.platform.services.windows import WindowsServices


def service_supervisor() -> ServiceSupervisor:
    """The one of this operating system; whether it is in charge is seen when it is asked."""
    match sys.platform:
        case "darwin":
            return Launchd()
        case "win32":
            return WindowsServices()
        case _:
            return Systemd()

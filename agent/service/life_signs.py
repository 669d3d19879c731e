"""What the running agent tells its supervisor: that it is ready, and that it lives."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.domain.health import HealthIssue

#: Signs of life in the time in which a supervisor wants one: a late one or two are no reason to be ended.
_PER_PERIOD = 4
#: Where no supervisor asks for signs, its line of status is still kept up to date, in seconds.
_STATUS_EVERY_S = 30.0
#: While protection is not proven, so much more time is asked for, as often as half of it has passed, in seconds.
_MORE_TIME_S = 60.0
#: Issues (agent/domain/health.py) with which nothing is protected, whatever was proven before.
_UNPROTECTED = frozenset({"real_time_off", "protection_unproven"})


class Notice(Protocol):
    """The way to the supervisor; `agent.platform.services.service_notice.ServiceNotice`."""

    alive_within_s: float | None

    def ready(self, status: str) -> None:
        """Protection is proven."""

    def alive(self, status: str) -> None:
        """A sign of life."""

    def still_starting(self, status: str, more_time_s: float) -> None:
        """It lives and is not ready yet."""


class LifeSigns:
    """Speaks for the agent. Signs come from the event loop that protects: a loop that stands still gives none.

    Args:
        notice: The way to the supervisor.
        issues: What stands between this device and the word "protected", now.
    """

    def __init__(self, notice: Notice, issues: Callable[[], Sequence[HealthIssue]]) -> None:
        self._notice = notice
        self._issues = issues
        self._proven = ""

    def proven(self, line: str) -> None:
        """Protection has been proven; the first time, the service is ready."""
        self._proven = line
        self._notice.ready(line)

    async def run(self) -> None:
        """Give signs until cancelled."""
        while True:
            self._sign()
            await asyncio.sleep(self._pause_s())

    def _sign(self) -> None:
        status = status_line(self._proven, self._issues())
        if self._proven:
            self._notice.alive(status)
        else:
            self._notice.still_starting(status, _MORE_TIME_S)

    def _pause_s(self) -> float:
        within_s = self._notice.alive_within_s
        usual_s = _STATUS_EVERY_S if within_s is None else within_s / _PER_PERIOD
        return usual_s if self._proven else min(usual_s, _MORE_TIME_S / 2)


def status_line(proven: str, issues: Sequence[HealthIssue]) -> str:
    """One line for whoever asks the supervisor how the service is.

    Args:
        proven: What was said when protection was proven; empty: it was not yet.
        issues: What stands in its way now.
    """
    named = ", ".join(dict.fromkeys(issue.code for issue in issues))
    if not proven:
        return f"not protected yet: {named}" if named else "starting"
    if _UNPROTECTED & {issue.code for issue in issues}:
        return f"not protected: {named}"
    return f"{proven}; issues: {named}" if named else proven

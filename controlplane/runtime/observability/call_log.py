"""What the log says about calls: who called what, how it ended and how long it took; never what was in it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog

from controlplane.runtime.observability.logs import about
from controlplane.runtime.principal import Principal
from controlplane.runtime.refusal import Refusal

#: Seconds after which a call that went well is worth a line: half of what makes people wonder.
SLOW_S: Final = 1.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Entered:
    """A call under way.

    Attributes:
        method: Its name in the protocol.
        request_id: Under which the log has it.
        began: By the event loop's clock, in seconds.
        timed: False: a stream, whose length says nothing.
        peer: Address of the caller, once known.
        principal: Who it is, once known.
        code: gRPC status, once it is over; empty: cancelled, or the servicer ended it itself.
    """

    method: str
    request_id: str
    began: float
    timed: bool = True
    peer: str = ""
    principal: Principal | None = None
    code: str = ""


class CallLog:
    """Says which calls went well.

    Args:
        every_call: One line for each; else only for slow ones.
    """

    def __init__(self, *, every_call: bool = False) -> None:
        self._every_call = every_call

    def ended(self, entered: Entered) -> None:
        """It went well."""
        entered.code = "OK"
        slow = entered.timed and _seconds(entered) >= SLOW_S
        if slow:
            _log.warning("call_slow", **_facts(entered, "OK"))
        elif self._every_call:
            _log.info("call_ended", **_facts(entered, "OK"))


def tell_refused(entered: Entered, code: str, refusal: Refusal) -> None:
    """It was refused; the address is for whoever looks for attempts to guess."""
    _log.info("call_refused", **_facts(entered, code), reason=refusal.reason, peer=entered.peer)


def tell_gone(entered: Entered) -> None:
    """Whoever called is not there any more."""
    _log.info("caller_gone", **_facts(entered, "CANCELLED"))


def tell_failed(entered: Entered, code: str, error: Exception) -> None:
    """We made a mistake."""
    _log.error("call_failed", **_facts(entered, code), exc_info=error)


def _seconds(entered: Entered) -> float:
    return asyncio.get_running_loop().time() - entered.began


def _facts(entered: Entered, code: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "method": entered.method,
        "code": code,
        "request_id": entered.request_id,
        "duration_ms": round(_seconds(entered) * 1000, 1),
    }
    about(entered.principal, facts)
    return facts

"""The one way in which the control plane says no.

A capability raises a `Refusal` (or a subclass from its `errors.py`); the interceptor in `rpc_errors` turns it into a
gRPC status with an `ErrorDetail`; anything else becomes INTERNAL with a request id and nothing more.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Kind(Enum):
    """What sort of no; each maps to one gRPC status code and one exit status of the command lines."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    #: The request is fine, the state of things does not allow it.
    PRECONDITION = "precondition"
    #: Something is used up: seats, uses of a key, attempts.
    EXHAUSTED = "exhausted"
    #: Try again later.
    UNAVAILABLE = "unavailable"
    #: This machine does not let us: a port, a folder, a permission. For `buckler-server`; no call is answered with it.
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a seat."""

    seat_id: str
    device_id: str
    device_name: str
    held_since: datetime
    last_seen: datetime | None


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 -- a refusal is an answer, not an error of ours
    """A no that its reader can act on.

    Attributes:
        kind: What sort.
        reason: Stable upper-case code, e.g. `SEAT_LIMIT`.
        message: One sentence without a final period: what happened.
        next_step: One sentence without a final period: what the reader can do.
        retry_after_s: 0: a retry will not help by itself.
        seat_holders: Only with `SEAT_LIMIT`.
        facts: Named facts, all of them safe to show.
    """

    kind: Kind
    reason: str
    message: str
    next_step: str
    retry_after_s: int = 0
    seat_holders: tuple[Holder, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """For logs."""
        return f"{self.reason}: {self.message}"

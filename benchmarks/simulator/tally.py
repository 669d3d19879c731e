"""What devices were shown: answers and how long they took, errors by what they say."""

import math
from collections import Counter
from collections.abc import Sequence

import grpc

from agent.control.refusals import error_detail

#: What a caller may be shown without a word of explanation: the server, or the way to it, is away.
_AWAY = grpc.StatusCode.UNAVAILABLE
_LATE = grpc.StatusCode.DEADLINE_EXCEEDED
#: A refusal with this reason is a mistake of the server's.
_MISTAKE = "INTERNAL"
#: What the device's own gRPC says, not the server, when the line goes while it is used; and what we call that.
_LINE_GONE, LINE_GONE = "Internal error from Core", "the line is gone"
#: Characters of what an error said.
_SAID = 200


class Tally:
    """Counts what a fleet was shown."""

    def __init__(self) -> None:
        #: By method, status and reason.
        self.errors: Counter[tuple[str, str, str]] = Counter()
        #: What was said by errors that should not have been shown.
        self.sayings: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}

    def answered(self, method: str, seconds: float) -> None:
        """A call was answered."""
        self.seconds.setdefault(method, []).append(seconds)

    def failed(self, method: str, error: grpc.aio.AioRpcError) -> tuple[str, float]:
        """A call failed; the reason and the seconds until the server wants to be asked again: empty and 0 if unsaid."""
        detail = error_detail(error)
        reason = detail.reason if detail is not None else ""
        if not reason and error.details() == _LINE_GONE:
            reason = LINE_GONE
        self.errors[method, error.code().name, reason] += 1
        if is_mistake(error.code().name, reason):
            self.sayings[str(error.details())[:_SAID]] += 1
        return reason, float(detail.retry_after_s) if detail is not None else 0.0

    @property
    def mistakes(self) -> int:
        """Errors that are neither an absence nor a refusal with a reason."""
        return sum(count for key, count in self.errors.items() if is_mistake(key[1], key[2]))

    @property
    def late(self) -> int:
        """Calls that the device gave up."""
        return sum(count for (_, code, _), count in self.errors.items() if code == _LATE.name)

    def refused(self, reason: str) -> int:
        """How often this was said."""
        return sum(count for (_, _, said), count in self.errors.items() if said == reason)

    def lines(self) -> list[str]:
        """For people."""
        shown = [
            f"         shown {count}x {method} {code} {reason}".rstrip()
            for (method, code, reason), count in sorted(self.errors.items())
        ]
        return shown + [f"         said {count}x {said}" for said, count in sorted(self.sayings.items())]


def is_mistake(code: str, reason: str) -> bool:
    """Whether an error should not have been shown to anybody."""
    if code in {_AWAY.name, _LATE.name}:
        return False
    return reason in {"", _MISTAKE}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; nothing measured counts as endless."""
    if not values:
        return math.inf
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]

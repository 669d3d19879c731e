"""When the link to the control plane does what; apart from the link, because reading settings must not load gRPC."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Times of the stream, in seconds.

    Attributes:
        reconnect_within_s: A stream that was lost is opened again at a random moment within so long.
        first_retry_s: Upper end of the first wait when streams do not work; doubles from there.
        longest_retry_s: Where the doubling ends.
        refused_retry_s: After a refusal that asking again will not change.
        unsupported_retry_s: When the server knows no streams; it may be replaced by a newer one.
        answer_s: How long the welcome, and each answer to reports, may take.
    """

    reconnect_within_s: float = 30.0
    first_retry_s: float = 5.0
    longest_retry_s: float = 300.0
    refused_retry_s: float = 900.0
    unsupported_retry_s: float = 3_600.0
    answer_s: float = 20.0


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Times of the check-in loop, in seconds.

    Attributes:
        interval_s: Between check-ins as long as the server has not said otherwise.
        longest_interval_s: The server's wish is not followed beyond this.
        first_retry_s: Upper end of the first wait after a failure; doubles from there.
        longest_retry_s: Where the doubling ends.
        refused_retry_s: After a refusal that asking again will not change.
        look_s: A server that relies on the stream asks for check-ins at a slow pace; whether there is something to tell
            before is looked at this often.
        stream: Of the stream beside it.
    """

    interval_s: float = 3_600.0
    longest_interval_s: float = 86_400.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 300.0
    refused_retry_s: float = 900.0
    look_s: float = 60.0
    stream: StreamTimes = field(default_factory=StreamTimes)

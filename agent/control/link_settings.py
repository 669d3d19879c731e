"""When the link to the control plane does what; apart from the link, because reading settings must not load gRPC."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Times of the check-in loop, in seconds.

    Attributes:
        interval_s: Between check-ins as long as the server has not said otherwise.
        longest_interval_s: The server's wish is not followed beyond this.
        first_retry_s: Upper end of the first wait after a failure; doubles from there.
        longest_retry_s: Where the doubling ends.
        refused_retry_s: After a refusal that asking again will not change.
    """

    interval_s: float = 3_600.0
    longest_interval_s: float = 86_400.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 300.0
    refused_retry_s: float = 900.0

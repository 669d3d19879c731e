"""The only file of the agent that is unpredictable."""

import os
from uuid import UUID

#: Bits of a float in [0, 1) that a double can hold exactly, and how many more whole bytes have.
_FLOAT_BITS = 53
_SPARE_BITS = 3


class SystemRandomness:
    """The operating system's generator; port `agent.domain.ports.Randomness`."""

    def uuid(self) -> UUID:
        """A fresh random UUID, version 4."""
        return UUID(bytes=os.urandom(16), version=4)

    def token_bytes(self, count: int) -> bytes:
        """Bytes fit for keys."""
        return os.urandom(count)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two, for jitter."""
        return low + (high - low) * ((int.from_bytes(os.urandom(7), "big") >> _SPARE_BITS) / float(1 << _FLOAT_BITS))

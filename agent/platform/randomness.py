"""The only file of the agent that is unpredictable."""

import secrets
from uuid import UUID

#: Bits of a float in [0, 1) that a double can hold exactly.
_FLOAT_BITS = 53


class SystemRandomness:
    """The operating system's generator; port `agent.domain.ports.Randomness`."""

    def uuid(self) -> UUID:
        """A fresh random UUID, version 4."""
        return UUID(bytes=secrets.token_bytes(16), version=4)

    def token_bytes(self, count: int) -> bytes:
        """Bytes fit for keys."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two, for jitter."""
        return low + (high - low) * (secrets.randbits(_FLOAT_BITS) / float(1 << _FLOAT_BITS))

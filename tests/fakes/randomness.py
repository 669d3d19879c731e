"""Randomness that repeats itself."""

from random import Random
from uuid import UUID


class SeededRandomness:
    """Honest fake of `agent.domain.ports.Randomness` and of the control plane's: the same seed, the same values."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def uuid(self) -> UUID:
        return UUID(bytes=self._random.randbytes(16), version=4)

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

"""Password hashes: argon2id, off the event loop, the same work for every answer."""

import asyncio
import base64
from functools import cache
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from controlplane.runtime.randomness import Randomness

#: 120 random bits, 24 letters and digits.
_MADE_UP_BYTES = 15


class Passwords(Protocol):
    """Hashes and checks passwords."""

    async def hash(self, password: str) -> str:
        """A salted hash that carries its own parameters."""

    async def verify(self, password: str, stored_hash: str | None) -> bool:
        """Whether a password is the stored one; None costs the same and is never right."""


class Argon2Passwords:
    """The real one.

    Args:
        hasher: Parameters; by default those of RFC 9106 for little memory (64 MiB, 3 passes, 4 lanes).
        at_once: Hashes that may be computed at the same time: bounds memory, and what a flood of sign-ins can take
            from everybody else.
    """

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = 4) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._turns = asyncio.Semaphore(at_once)
        # Compared with when there is nobody: the time of an answer must not tell whether an address is known. Made with
        # the first answer, whoever that is for: most commands of an operator check no password.
        self._nobody = cache(lambda: self._hasher.hash("nobody"))

    async def hash(self, password: str) -> str:
        """A salted hash that carries its own parameters."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, stored_hash: str | None) -> bool:
        """Whether a password is the stored one; None costs the same and is never right."""
        async with self._turns:
            right = await asyncio.to_thread(self._matches, password, stored_hash)
        return right and stored_hash is not None

    def _matches(self, password: str, stored_hash: str | None) -> bool:
        nobody = self._nobody()
        try:
            return self._hasher.verify(stored_hash or nobody, password)
        except (VerificationError, InvalidHashError):
            return False


def made_up_password(randomness: Randomness) -> str:
    """For somebody who did not choose one: 24 letters and digits."""
    return base64.b32encode(randomness.token_bytes(_MADE_UP_BYTES)).decode("ascii").lower()

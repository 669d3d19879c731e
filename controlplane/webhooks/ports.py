"""What webhooks need from the network."""

from collections.abc import Mapping
from typing import Protocol

from controlplane.webhooks.model import Target


class NotDeliveredError(Exception):
    """An attempt failed; the message is one of our own sentences and fit to be shown."""


class Sender(Protocol):
    """Posts to addresses that the organisation may choose, and only to those that are allowed."""

    async def check(self, target: Target) -> None:
        """Look whether a target could be sent to now, without sending.

        Raises:
            NotDeliveredError: It is not allowed, or its name is not known.
        """

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """Post a body; redirects are not followed.

        Raises:
            NotDeliveredError: It was not accepted with a status of 200 to 299.
        """

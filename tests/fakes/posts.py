"""A sender of webhooks that keeps what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.webhooks.model import Target
from controlplane.webhooks.ports import NotDeliveredError


@dataclass(frozen=True, slots=True)
class Post:
    """What was sent."""

    target: Target
    headers: Mapping[str, str]
    body: bytes


class RecordingSender:
    """Implements `Sender`; `failure` is what becomes of the next posts, hosts in `forbidden` are not allowed."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.failure = ""
        self.forbidden: set[str] = set()

    async def check(self, target: Target) -> None:
        if target.host in self.forbidden:
            raise NotDeliveredError("it is not a public address")

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        await self.check(target)
        if self.failure:
            raise NotDeliveredError(self.failure)
        self.posts.append(Post(target, headers, body))

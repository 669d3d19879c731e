"""What a container format is to the walker.

A format is a `Family`: how it is recognised, and how its members are listed. Nothing here ever writes: a member's name,
be it absolute or full of `..`, is only ever a label.

A family may raise anything its library raises; the walker turns it into `damaged`. It raises `ContainerError` where it
knows better.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Meter


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to look at, and where they came from.

    Attributes:
        data: All of them.
        trail: Names from the outermost container to this content; one name: the file itself.
    """

    data: bytes
    trail: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its own name."""
        return self.trail[-1]

    @property
    def depth(self) -> int:
        """How many containers it is inside of."""
        return len(self.trail) - 1

    @property
    def member_path(self) -> tuple[str, ...]:
        """As findings name it: empty for the file itself."""
        return self.trail if self.depth else ()


@dataclass(frozen=True, slots=True)
class Member:
    """One thing inside a container.

    Attributes:
        name: As the container says, decoded losslessly.
        data: Its bytes, as many as could be had; None: it has none (a folder, a link), or none could be had.
        problem: Why it is not complete; None: it is. Its `member_path` is filled in by the walker.
    """

    name: str
    data: bytes | None
    problem: Incomplete | None = None


class ContainerError(Exception):
    """A container cannot be opened, or not any further.

    Args:
        reason: `encrypted`, `damaged` or `no_unpacker`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Family:
    """A container format.

    Attributes:
        name: For people and for `docs/formats.md`.
        recognises: Whether bytes are one; must be cheap and must not raise, and must be sure: what is recognised and
            cannot be opened makes the file incomplete.
        members: Lists the members; reads them through the meter, which enforces the limits.
    """

    name: str
    recognises: Callable[[bytes], bool]
    members: Callable[[Content, Meter], Iterator[Member]]

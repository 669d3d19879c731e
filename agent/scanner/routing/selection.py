"""From a file's first bytes and size to the partitions that could match it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.scanner.routing.needs import Need

_KEY = 2  # bytes of a file that look up the routes to check; most magic numbers differ in the first two


@dataclass(frozen=True, slots=True)
class Route:
    """What files a partition is for. A plain value, to be stored beside the compiled rules.

    Attributes:
        need: What they all are like.
        excluded: None of them starts with one of these.
    """

    need: Need
    excluded: tuple[bytes, ...] = ()


class Selector:
    """Picks partitions: pure, and about a microsecond a file.

    Args:
        routes: The `route` of each partition, in the order the answers count in.

    Attributes:
        head_bytes: So many first bytes of a file are enough for a selection; more do no harm.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._for_any_head = tuple(index for index, route in enumerate(routes) if route.need.heads is None)
        self._by_key = self._indexed()
        known = [head for route in routes for head in (*(route.need.heads or ()), *route.excluded)]
        self.head_bytes = max(map(len, known), default=0)

    def select(self, untrusted_head: bytes, size: int) -> tuple[int, ...]:
        """Return the indices of the partitions that could match a file, in ascending order.

        Args:
            untrusted_head: The file's first bytes, at least `head_bytes` of them, all of them if it is shorter.
            size: The file's size in bytes.
        """
        candidates = self._by_key.get(untrusted_head[:_KEY])
        indices: Iterable[int] = self._for_any_head
        if candidates:
            indices = sorted({*indices, *(index for head, index in candidates if untrusted_head.startswith(head))})
        return tuple(index for index in indices if self._accepts(self._routes[index], untrusted_head, size))

    @staticmethod
    def _accepts(route: Route, untrusted_head: bytes, size: int) -> bool:
        return route.need.min_size <= size <= route.need.max_size and not untrusted_head.startswith(route.excluded)

    def _indexed(self) -> dict[bytes, tuple[tuple[bytes, int], ...]]:
        """Return (head, partition) by the bytes the head starts with, those of one byte under each continuation."""
        index: dict[bytes, list[tuple[bytes, int]]] = defaultdict(list)
        for number, route in enumerate(self._routes):
            for head in route.need.heads or ():
                for key in _keys(head):
                    index[key].append((head, number))
        return {key: tuple(sorted(entries)) for key, entries in index.items()}


def _keys(head: bytes) -> Iterable[bytes]:
    if len(head) >= _KEY:
        return (head[:_KEY],)
    return (head, *(head + bytes([following]) for following in range(256)))

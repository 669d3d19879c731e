"""What a file must be like before a condition can be true of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Heads: TypeAlias = frozenset[bytes] | None
"""Alternative first bytes of a file; None stands for "any"; the empty set for "none, this can never be true"."""

MAX_HEADS = 256  # alternatives remembered per rule; the longest list in two public rule sets has 11
NO_LIMIT = 1 << 63  # larger than any file: YARA's integers are signed 64-bit


@dataclass(frozen=True, slots=True)
class Need:
    """Conditions on a file that are implied by a rule matching it. Weaker than the truth, never stronger.

    Attributes:
        heads: The file starts with one of these.
        min_size: The file has at least so many bytes.
        max_size: The file has at most so many bytes.
    """

    heads: Heads = None
    min_size: int = 0
    max_size: int = NO_LIMIT

    def both(self, other: Need) -> Need:
        """Return what must hold when both needs must hold."""
        return Need(
            heads=_common(self.heads, other.heads),
            min_size=max(self.min_size, other.min_size),
            max_size=min(self.max_size, other.max_size),
        )

    def either(self, other: Need) -> Need:
        """Return what must hold when at least one of the needs must hold."""
        united = any_of((self, other))
        return replace(united, heads=None) if len(united.heads or ()) > MAX_HEADS else united

    def narrowed_to(self, heads: Iterable[bytes]) -> Need:
        """Return this need with some of its own heads only."""
        return replace(self, heads=frozenset(heads))

    def met_by(self, untrusted_head: bytes, size: int) -> bool:
        """Tell whether a file of that size that starts like this meets the need."""
        if not self.min_size <= size <= self.max_size:
            return False
        return self.heads is None or untrusted_head.startswith(tuple(self.heads))

    @property
    def impossible(self) -> bool:
        """No file can meet this need."""
        return (self.heads is not None and not self.heads) or self.min_size > self.max_size


ANYTHING = Need()
NOTHING = Need(heads=frozenset())


def starts_with(*heads: bytes) -> Need:
    """Return the need for a file to start with one of some byte strings."""
    kept: list[bytes] = []
    for head in sorted(heads):  # a prefix sorts right before everything it begins
        if not kept or not head.startswith(kept[-1]):
            kept.append(head)
    if kept == [b""]:
        return ANYTHING
    return Need(heads=frozenset(kept), min_size=min(map(len, kept), default=0))


def any_of(needs: Iterable[Need]) -> Need:
    """Return what must hold when at least one of many needs must hold."""
    possible = [need for need in needs if not need.impossible]
    if not possible:
        return NOTHING
    known = [need.heads for need in possible if need.heads is not None]
    return Need(
        heads=starts_with(*frozenset().union(*known)).heads if len(known) == len(possible) else None,
        min_size=min(need.min_size for need in possible),
        max_size=max(need.max_size for need in possible),
    )


def sized(*, at_least: int = 0, at_most: int = NO_LIMIT) -> Need:
    """Return the need for a size in bytes, both ends included."""
    return Need(min_size=max(at_least, 0), max_size=at_most)


def compatible(one: bytes, other: bytes) -> bool:
    """Tell whether a file can start with both byte strings."""
    return one.startswith(other) or other.startswith(one)


def _common(one: Heads, other: Heads) -> Heads:
    if one is None:
        return other
    if other is None:
        return one
    return frozenset(max(a, b, key=len) for a in one for b in other if compatible(a, b))

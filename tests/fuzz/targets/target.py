"""What a target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A parser of untrusted bytes.

    Attributes:
        name: For the command line.
        run: Parses; raises nothing but what the parser documents, which it catches, and AssertionError.
        seeds: Valid inputs to start from.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]

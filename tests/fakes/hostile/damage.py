"""Judges a clean verdict on a container that was bent: had the damage hit the payload itself, or was it overlooked?"""

from dataclasses import dataclass

from agent.scanner.containers.budget import Budget
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FAMILIES, FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.limits import MIB, Limits
from tests.fakes.clock import FakeClock

#: Their objects are found by a word, an identifier or a reference; without it there are none.
_FOUND_BY_A_WORD = ("html", "onenote", "pdf", "pdf-hex", "pdf-plain", "pe-resource", "rtf")
#: A size of zero, or the number of members, is the regular end of the archive, wherever it comes.
_ENDS_ANYWHERE = ("arj", "cab", "lha")
#: A macro is met packed and unpacked; what hits one of them takes the other along.
_MET_TWICE = {"ole2-macro": 1}
_LIMITS = Limits(max_file_size=8 * MIB, max_expanded_size=32 * MIB, max_members=5_000)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a walk meets.

    Attributes:
        recognised: The whole is a container at all.
        leaves: Contents that are no containers themselves.
    """

    recognised: bool
    leaves: frozenset[bytes]


def contents_of(data: bytes) -> Contents:
    """Walk, without any rules."""
    leaves: set[bytes] = set()

    def visit(content: Content) -> None:
        if content.depth and not any(family.recognises(content.data) for family in FAMILIES):
            leaves.add(content.data)

    Walk(FORMATS, Budget(_LIMITS, FakeClock().monotonic_ns), visit).run(Content(data, ("bent",)))
    return Contents(any(family.recognises(data) for family in FAMILIES), frozenset(leaves))


def is_explained(name: str, honest: bytes, bent: bytes) -> bool:
    """Whether `clean` is a true answer to a container that was bent.

    It is if the whole is no longer a container to anybody, if every content that is missing was met in another shape
    (the damage hit what is in the container, not the container), or if the word by which its objects are found is gone.

    Args:
        name: Of the sample.
        honest: The container before.
        bent: And after.
    """
    before, after = contents_of(honest), contents_of(bent)
    if not after.recognised or (name in _FOUND_BY_A_WORD and not after.leaves):
        return True
    if name in _ENDS_ANYWHERE and after.leaves < before.leaves:
        return True
    lost = before.leaves - after.leaves
    # A piece that is also a member of its own (the payload of an object, say) is missing once, and not at all if the
    # object was met as it was.
    missing = {leaf for leaf in lost if not any(leaf in other for other in (lost | after.leaves) - {leaf})}
    return len(after.leaves - before.leaves) >= len(missing) - _MET_TWICE.get(name, 0)

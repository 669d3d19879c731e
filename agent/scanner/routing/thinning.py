"""Leaves out of a rule's evidence what tells least beside the rest, so that fewer needles are looked for.

The time it takes to look for needles grows with their number, and with how common their bytes are. Whoever needs all
of ten strings needs any two of them, too: a file that holds these two and not the others meets the rule in vain, and
there are few of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.scanner.routing.evidence import Evidence, Threshold

if TYPE_CHECKING:
    from agent.scanner.routing.needles import Needle

#: So many parts are enough. With one, every other text meets a rule in vain.
ENOUGH = 2
#: Different bytes of one needle beyond which it is no rarer.
_MOST_VARIED = 16
#: So many bytes more make it as rare as a different one.
_LETTERS = 4
#: Patterns take long to look for.
_OF_PATTERN = 3.0
#: Letters in either case are common, and take longer to look for.
_OF_NOCASE = 0.7
#: What has to be looked for in so many forms has to tell a different byte more.
_FORMS = 40


def thinned(evidence: Evidence) -> Evidence:
    """Return what follows from some evidence and takes less to look for.

    A file that has the evidence has what is returned, too; the inverse does not hold.
    """
    if evidence is None:
        return None
    kept = _weighed(evidence).part
    assert isinstance(kept, Threshold), "made of one"
    return kept


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A part with how much it tells and how many needles it takes."""

    part: Threshold | Needle
    telling: float
    needles: int

    @property
    def worth(self) -> float:
        return self.telling - self.needles / _FORMS


def _weighed(part: Threshold | Needle) -> _Weighed:
    if not isinstance(part, Threshold):
        return _Weighed(part, _telling(part), 1)
    parts = sorted(map(_weighed, part.parts), key=lambda inner: inner.worth, reverse=True)
    left_out = max(0, part.count - ENOUGH)
    kept, count = parts[: len(parts) - left_out], part.count - left_out
    # Whichever are there: what tells least counts.
    telling = sum(sorted(inner.telling for inner in kept)[:count])
    return _Weighed(Threshold(count, tuple(inner.part for inner in kept)), telling, sum(i.needles for i in kept))


def _telling(needle: Needle) -> float:
    if needle.pattern:
        return _OF_PATTERN
    # UTF-16 tells no more than the text, and zeros are everywhere.
    text = needle.text.replace(b"\0", b"")
    telling = min(len(frozenset(text)), _MOST_VARIED) + len(text) / _LETTERS
    return telling * _OF_NOCASE if needle.nocase else telling

"""Leaves out of a rule's evidence what tells least beside the rest, so that fewer needles are looked for.

The time it takes to look for needles grows with their number, and with how common their bytes are. Whoever needs all
of ten strings needs any two of them, too: a file that holds these two and not the others meets the rule in vain, and
there are few of those.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.scanner.routing.evidence import Evidence, Threshold
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
    return None if evidence is None else _thinned(evidence).part


class _Weighed(NamedTuple):
    """A part with how much it tells and how many needles it takes."""

    part: Threshold
    telling: float
    needles: int


def _thinned(evidence: Threshold) -> _Weighed:
    weighed: list[_Weighed | _WeighedNeedle] = [
        _thinned(part) if isinstance(part, Threshold) else _WeighedNeedle(part, _telling(part))
        for part in evidence.parts
    ]
    weighed.sort(key=lambda part: part.telling - part.needles / _FORMS, reverse=True)
    left_out = max(0, evidence.count - ENOUGH)
    kept, count = weighed[: len(weighed) - left_out], evidence.count - left_out
    # Whichever are there: what tells least counts.
    telling = sum(sorted(part.telling for part in kept)[:count])
    return _Weighed(Threshold(count, tuple(part.part for part in kept)), telling, sum(part.needles for part in kept))


class _WeighedNeedle(NamedTuple):
    part: Needle
    telling: float
    needles: int = 1


def _telling(needle: Needle) -> float:
    if needle.pattern:
        return _OF_PATTERN
    # Text in UTF-16 tells no more than itself.
    varied = min(len(frozenset(needle.text) - {0}), _MOST_VARIED) + len(needle.text) / _LETTERS
    return varied * _OF_NOCASE if needle.nocase else varied

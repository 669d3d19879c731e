"""Evidence that takes less to look for: it follows from the whole, and what tells most stays."""

from random import Random

import pytest

from agent.scanner.routing.evidence import Evidence, Threshold, all_of, some_of
from agent.scanner.routing.needles import Needle
from agent.scanner.routing.thinning import ENOUGH, thinned


def one(text: bytes, *, nocase: bool = False) -> Threshold:
    return Threshold(1, (Needle(text, nocase),))


def needles_in(evidence: Threshold) -> set[Needle]:
    found: set[Needle] = set()
    for part in evidence.parts:
        found |= {part} if isinstance(part, Needle) else needles_in(part)
    return found


def is_met(evidence: Evidence, held: set[Needle]) -> bool:
    if evidence is None:
        return True
    met = (part in held if isinstance(part, Needle) else is_met(part, held) for part in evidence.parts)
    return sum(met) >= evidence.count


def texts(evidence: Evidence) -> set[bytes]:
    assert evidence is not None
    return {needle.text for needle in needles_in(evidence)}


def test_of_many_strings_that_are_all_needed_the_two_rarest_are_looked_for() -> None:
    strings = (b"open", b"read", b"\xc6D$8H\xc6D$9e", b"gist.githubusercontent", b"close")
    assert texts(thinned(all_of(map(one, strings)))) == {b"\xc6D$8H\xc6D$9e", b"gist.githubusercontent"}


def test_what_is_needed_of_alternatives_keeps_all_that_may_be_there() -> None:
    strings = (b"first one", b"second one", b"third one")
    assert texts(thinned(some_of(1, [*map(one, strings)]))) == set(strings)
    assert texts(thinned(some_of(2, [*map(one, strings)]))) == set(strings)


def test_three_of_five_become_two_of_the_four_that_tell_most() -> None:
    strings = (b"first one", b"second one", b"third one", b"the", b"a fourth one")
    kept = thinned(some_of(3, [*map(one, strings)]))
    assert kept is not None
    assert (kept.count, texts(kept)) == (ENOUGH, set(strings) - {b"the"})


@pytest.mark.parametrize(
    "poor",
    [
        one(b"abcdefghij", nocase=True),
        Threshold(1, (Needle(pattern="a.*b"),)),
        Threshold(1, tuple(Needle(bytes(byte ^ key for byte in b"abcdefghij")) for key in range(256))),
        Threshold(1, (Needle(b"abcdefghij"), Needle(b"ab"))),
        one(b"a\0b\0c\0d\0"),
        one(b"aaaaaaaaaa"),
    ],
)
def test_what_is_common_or_takes_long_to_look_for_goes_first(poor: Threshold) -> None:
    known = (one(b"zyxwvutsrq"), one(b"0123456789"))
    assert thinned(all_of((known[0], poor, known[1]))) == Threshold(ENOUGH, known)


def test_nothing_in_particular_stays_nothing_in_particular() -> None:
    assert thinned(None) is None


def test_what_has_the_evidence_has_what_is_left_of_it() -> None:
    random = Random(5)
    known = [Needle(bytes(random.choices(b"abcdefgh", k=random.randint(2, 9)))) for _ in range(8)]

    def tree(depth: int) -> Threshold:
        parts = tuple(
            tree(depth - 1) if depth and random.random() < 0.5 else random.choice(known)
            for _ in range(random.randint(1, 5))
        )
        return Threshold(random.randint(1, len(parts)), parts)

    met = 0
    for _ in range(500):
        evidence = tree(2)
        held = set(random.sample(known, random.randint(3, 8)))
        if is_met(evidence, held):
            met += 1
            assert is_met(thinned(evidence), held)
    assert met > 100

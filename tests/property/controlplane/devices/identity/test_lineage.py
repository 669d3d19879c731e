"""Machines that keep what they are given, answers that are lost, a server that forgets its newest contacts."""

from dataclasses import dataclass, field
from itertools import count

from hypothesis import example, given
from hypothesis import strategies as st

from controlplane.devices.identity.lineage import NOTHING_SHOWN, Nonce, Shown, followed

#: What may happen at a contact besides that it works: the answer is lost, or the server crashes before it is written.
mishaps = st.lists(st.sampled_from(["", "", "lost", "forgotten"]), max_size=30)


@dataclass
class Server:
    """Knows what was shown last; what is not durable yet can be forgotten."""

    known: Shown = NOTHING_SHOWN
    names: "count[int]" = field(default_factory=lambda: count(1))

    def contact(self, nonce: Nonce | None, mishap: str) -> Nonce | None:
        """The next nonce; None: two machines were seen."""
        shown = followed(self.known, nonce)
        if shown is None:
            return None
        if mishap != "forgotten":
            self.known = shown
        return Nonce(shown.depth + 1, next(self.names).to_bytes(16, "big"), shown.name)


@given(story=mishaps)
def test_one_machine_is_never_taken_for_two(story: list[str]) -> None:
    server, kept = Server(), None
    for mishap in story:
        given_next = server.contact(kept, mishap)
        assert given_next is not None
        if mishap != "lost":
            kept = given_next


@given(before=mishaps, turns=st.lists(st.booleans(), min_size=2, max_size=30))
@example(before=[], turns=[True, True, True, False, False, False])
def test_two_copies_are_seen_before_both_called_twice_more(before: list[str], turns: list[bool]) -> None:
    server, kept = Server(), None
    for mishap in before:
        answer = server.contact(kept, mishap)
        assert answer is not None
        kept = answer if mishap != "lost" else kept
    copies, calls = {True: kept, False: kept}, {True: 0, False: 0}
    for who in turns:
        answer = server.contact(copies[who], "")
        if answer is None:
            assert all(calls.values()) or calls[not who]
            return
        # Images made before the first contact have nothing to show: they fork when both have been given something.
        calls[who] += None not in copies.values()
        copies[who] = answer
        assert min(calls.values()) < 2


@given(steps=st.integers(1, 5))
def test_an_old_image_that_is_started_later_is_seen_at_once(steps: int) -> None:
    server, old = Server(), None
    kept = server.contact(old, "")
    old = kept
    for _ in range(steps + 1):
        kept = server.contact(kept, "")
    assert server.contact(old, "") is None

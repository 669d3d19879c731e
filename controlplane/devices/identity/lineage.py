"""Whether two machines call as one device. Pure: what a device shows and what it showed last in, a judgement out.

Every answer to a check-in carries a nonce that the device shows at its next contact. A nonce knows the one that was
shown for it, its parent, so that all nonces of a device make a tree. One machine walks down one path: after it showed a
child it never shows the parent again, nor another child of it. An image that was copied forks: both copies hold one
nonce, and the second of them to show a child of it, or it again, is seen.

What one machine may do without being taken for two: show a nonce again, any number of times, because the answers were
lost; be answered by a server that has forgotten the newest contacts (they are written a few seconds later, and a crash
loses them): what it shows is then deeper than what is known, and believed, because nobody else can make such a nonce.
"""

from dataclasses import dataclass

#: Stands for the nonce before the first.
ROOT = bytes(16)


@dataclass(frozen=True, slots=True)
class Shown:
    """The nonce that a device showed last; at the beginning none.

    Attributes:
        depth: How many came before it.
        name: Random, 16 bytes.
    """

    depth: int = 0
    name: bytes = ROOT


NOTHING_SHOWN = Shown()


@dataclass(frozen=True, slots=True)
class Nonce:
    """A nonce that this installation made for this device.

    Attributes:
        depth: One more than its parent's.
        name: Random, 16 bytes.
        parent: The name of what was shown when it was given.
    """

    depth: int
    name: bytes
    parent: bytes


def is_overtaken(shown: Shown, written: Shown) -> bool:
    """Whether another server has seen what does not come before this on the path of one machine.

    It may be the same machine, further on its path, or a copy of it; who reads what is written will see.
    """
    return written.depth >= shown.depth and written != shown


def followed(last: Shown, nonce: Nonce | None) -> Shown | None:
    """What a device showed last, after a contact; None: two machines call as one device.

    Args:
        last: What it showed before, as far as that is known.
        nonce: What it shows now; None: nothing that we made for it, as after its first activation.
    """
    if nonce is None:
        return last
    now = Shown(nonce.depth, nonce.name)
    if nonce.depth > last.depth + 1 or now == last:
        return now
    if nonce.depth == last.depth + 1 and nonce.parent == last.name:
        return now
    return None

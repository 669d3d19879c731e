"""Which of all formats a content is in, without asking each of them.

Most formats begin with bytes of their own, and most contents begin with those of none. What is known here of a format
only spares it the question; a format of which nothing is known is always asked.
"""

from collections.abc import Iterator, Mapping, Sequence

from agent.scanner.containers.family import Family

#: So many first bytes are looked up.
_KEY_BYTES = 2
#: Formats that are told by what lies beyond are not asked about contents shorter than this.
SHORT = 512


class Recognition:
    """Recognises formats: pure, and some microseconds a content.

    Args:
        families: All formats, in the order they are tried.
        beginnings: By their names: the first two bytes of every content in that format.
        distant: Names of formats in which no content is shorter than `SHORT`.
    """

    def __init__(
        self, families: Sequence[Family], beginnings: Mapping[str, Sequence[bytes]], distant: frozenset[str]
    ) -> None:
        # By the first bytes, of contents that are not short and of those that are.
        self._asked = tuple(
            _by_beginning([family for family in families if not short or family.name not in distant], beginnings)
            for short in (False, True)
        )
        self._asked_of_others = tuple(asked.pop(b"") for asked in self._asked)

    def formats_of(self, untrusted_data: bytes) -> Iterator[Family]:
        """The formats of a content, in the order they are tried."""
        short = len(untrusted_data) < SHORT
        asked = self._asked[short].get(untrusted_data[:_KEY_BYTES], self._asked_of_others[short])
        return (family for family in asked if family.recognises(untrusted_data))


def _by_beginning(
    families: Sequence[Family], beginnings: Mapping[str, Sequence[bytes]]
) -> dict[bytes, tuple[Family, ...]]:
    """Those to ask by what a content begins with; under no bytes at all, those to ask about any other."""
    keys = {b"", *(key for known in beginnings.values() for key in known)}
    return {key: tuple(family for family in families if key in beginnings.get(family.name, (key,))) for key in keys}

"""What a hostile input is to those who scan it."""

from dataclasses import dataclass
from enum import Enum

#: Every name that malice asks to be written carries it, so that a file that should not be there is found.
CANARY = "buckler-hostile-canary"


class Expected(Enum):
    """What the verdict must be, in time, whatever else happens."""

    ANYTHING = "anything"
    INFECTED = "infected"
    NOT_CLEAN = "not clean"
    #: Not clean, unless all that is left of the payload was looked at; see `tests.fakes.hostile.damage`.
    EXPLAINED = "explained"


@dataclass(frozen=True, slots=True)
class Case:
    """One input.

    Attributes:
        name: Kind of malice, what it was done to, and a number; a file name.
        data: The bytes.
        expected: Of the verdict.
        sparse_size: The file is made this long without writing it; None: as long as its bytes.
    """

    name: str
    data: bytes
    expected: Expected = Expected.ANYTHING
    sparse_size: int | None = None

    @property
    def kind(self) -> str:
        """The kind of malice."""
        return self.name.partition(".")[0]

"""What goes wrong between a device and its server: probabilities, and what becomes of one call. Pure."""

from dataclasses import dataclass, fields
from enum import Enum


class Fate(Enum):
    """What becomes of a call."""

    ARRIVES = "arrives"
    #: The connection goes while the call is under way: the server may have done it or not.
    CUT = "cut"
    #: The server did it, and the device never hears of it.
    ANSWER_LOST = "answer_lost"
    #: It is sent twice at once, as after a hasty repeat.
    TWICE = "twice"


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities, 0 to 1; of calls they add up to at most 1.

    Attributes:
        cut: See `Fate.CUT`; on a stream, for each frame that is read.
        answer_lost: See `Fate.ANSWER_LOST`.
        twice: See `Fate.TWICE`.
        slow_reading: That a device takes `SLOW_READ_S` before it reads a frame of its stream.
    """

    cut: float = 0.0
    answer_lost: float = 0.0
    twice: float = 0.0
    slow_reading: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 <= getattr(self, field.name) <= 1 for field in fields(self)):
            raise ValueError("a probability is 0 to 1")
        if self.cut + self.answer_lost + self.twice > 1:
            raise ValueError("the fates of a call add up to more than 1")

    def fate(self, drawn: float) -> Fate:
        """What becomes of a call.

        Args:
            drawn: At random, from 0 up to but not 1.
        """
        for fate, probability in (
            (Fate.CUT, self.cut),
            (Fate.ANSWER_LOST, self.answer_lost),
            (Fate.TWICE, self.twice),
        ):
            if drawn < probability:
                return fate
            drawn -= probability
        return Fate.ARRIVES


#: Seconds that a slow device takes for a frame.
SLOW_READ_S = 2.0
FAULTLESS = Faults()
#: A bad day on a bad line.
USUAL = Faults(cut=0.02, answer_lost=0.02, twice=0.02, slow_reading=0.01)

"""What a device keeps durably: its next nonce, detections nobody has accepted yet, a journal of the commands it ran.

Commands run in no time. A command that comes again is answered from the journal and not run again.
"""

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from wire.v1 import command_pb2, device_pb2

MOST_REPORTS = 100
#: Of commands, those that succeed, and those that are told as begun before they are told as over.
_SUCCEEDS, _TOLD_AS_BEGUN = 0.95, 0.3


class Memory:
    """One device's.

    Args:
        chance: Decides what becomes of commands.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._steps: dict[str, list[command_pb2.CommandReport]] = {}
        self.nonce = b""
        self.unsent: dict[bytes, device_pb2.Incident] = {}
        #: How often each command was run, and when it first came (seconds, monotonic).
        self.ran: Counter[str] = Counter()
        self.came_at: dict[str, float] = {}
        #: Commands that were offered, repeats included.
        self.offered = 0

    @property
    def untold(self) -> bool:
        """Whether something became of a command that the server has not accepted."""
        return bool(self._steps)

    @property
    def is_settled(self) -> bool:
        """Whether everything that happened here has been accepted."""
        return not self._steps and not self.unsent

    def take(self, commands: Iterable[command_pb2.Command]) -> None:
        """Run what did not run yet."""
        for command in commands:
            self.offered += 1
            if command.command_id not in self.ran:
                self._run(command.command_id)

    def _run(self, command_id: str) -> None:
        self.ran[command_id] += 1
        self.came_at[command_id] = time.monotonic()
        begun = self._chance.random() < _TOLD_AS_BEGUN
        states = [command_pb2.COMMAND_STATE_IN_PROGRESS] if begun else []
        succeeds = self._chance.random() < _SUCCEEDS
        states.append(command_pb2.COMMAND_STATE_SUCCEEDED if succeeds else command_pb2.COMMAND_STATE_FAILED)
        self._steps[command_id] = [
            command_pb2.CommandReport(
                command_id=command_id,
                state=state,
                code="SIMULATED" if state == command_pb2.COMMAND_STATE_FAILED else "",
            )
            for state in states
        ]

    def reports(self) -> list[command_pb2.CommandReport]:
        """What is to be told next, one step of each command."""
        return [steps[0] for steps in list(self._steps.values())[:MOST_REPORTS]]

    def told(self, reports: Sequence[command_pb2.CommandReport], accepted: Iterable[str]) -> None:
        """Some of these reports were accepted."""
        known = set(accepted)
        for report in reports:
            steps = self._steps.get(report.command_id)
            # The same report may have been accepted on another way meanwhile.
            if report.command_id not in known or not steps or steps[0] is not report:
                continue
            del steps[0]
            if not steps:
                del self._steps[report.command_id]

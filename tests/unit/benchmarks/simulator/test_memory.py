import random

from benchmarks.simulator.memory import MOST_REPORTS, Memory
from wire.v1 import command_pb2

BEGUN = command_pb2.COMMAND_STATE_IN_PROGRESS


def command(number: int) -> command_pb2.Command:
    return command_pb2.Command(command_id=f"cmd_{number:04}", kind="scan")


def test_a_command_that_comes_again_is_not_run_again() -> None:
    memory = Memory(random.Random(1))
    for _ in range(3):
        memory.take([command(1), command(2)])
    assert (memory.ran, memory.offered) == ({"cmd_0001": 1, "cmd_0002": 1}, 6)


def test_what_became_of_a_command_is_told_until_it_is_accepted_step_by_step() -> None:
    memory = Memory(random.Random(1))
    memory.take(map(command, range(MOST_REPORTS + 50)))
    told: dict[str, list[int]] = {}
    while reports := memory.reports():
        assert len(reports) <= MOST_REPORTS
        memory.told(reports, [])
        assert memory.reports() == reports
        memory.told(reports, [report.command_id for report in reports])
        # An answer that comes on a second way moves nothing.
        after = memory.reports()
        memory.told(reports, [report.command_id for report in reports])
        assert memory.reports() == after
        for report in reports:
            told.setdefault(report.command_id, []).append(report.state)
    assert memory.is_settled
    assert len(told) == MOST_REPORTS + 50
    assert all(states[-1] != BEGUN and states[:-1] in ([], [BEGUN]) for states in told.values())

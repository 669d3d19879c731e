import subprocess
import sys

from agent.platform.processes.costs import CostMeter

HOLD = "block = bytearray(64 << 20)\nprint('ready', flush=True)\ninput()"


def test_this_process_has_a_cost_and_one_that_has_ended_has_none() -> None:
    cost = CostMeter().measure_each([2**22 + 1])
    assert cost.total.memory_mb > 1
    assert cost.own_memory_mb == {}


def test_each_worker_is_told_apart_and_adds_to_the_whole() -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        alone = CostMeter().measure([]).memory_mb
        cost = CostMeter().measure_each([worker.pid])
        assert cost.own_memory_mb[worker.pid] > 64
        assert cost.total.memory_mb >= alone + 60
        worker.communicate("\n", timeout=60)

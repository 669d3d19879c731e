import os
import subprocess
import sys
import types

import psutil
import pytest

from agent.platform.processes import priority
from agent.platform.processes.cpu_time import CpuTime

_TELL = """
import os, psutil
from agent.platform.processes.priority import step_back
step_back()
step_back()
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), int(psutil.Process().ionice().ioclass))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the idle classes of Linux")
def test_one_who_steps_back_goes_last_for_processor_and_disk() -> None:
    told = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["19", str(os.SCHED_IDLE), str(int(psutil.IOPRIO_CLASS_IDLE))]


def test_a_machine_without_a_battery_is_on_the_mains(monkeypatch: pytest.MonkeyPatch) -> None:
    battery = types.SimpleNamespace(power_plugged=False)
    with monkeypatch.context() as patched:
        patched.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
        assert priority.on_battery()
        battery.power_plugged = True
        assert not priority.on_battery()
        battery.power_plugged = None
        assert not priority.on_battery()
        patched.setattr(psutil, "sensors_battery", lambda: None, raising=False)
        assert not priority.on_battery()


def test_processor_time_grows_and_is_kept_when_a_process_ends() -> None:
    cpu = CpuTime()
    work = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used = cpu.seconds({child.pid})
        child.kill()
    assert used >= 0.04
    assert cpu.seconds({child.pid}) >= used
    assert cpu.seconds(set()) >= used

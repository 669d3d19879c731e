"""Programs of processes."""

import os
import sys
from pathlib import Path

import pytest

from agent.platform.processes.names import ProcessNames


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_process_is_known_by_its_program_and_one_that_has_ended_is_not() -> None:
    names = ProcessNames()
    names.note(os.getpid())
    names.note(2**22 + 1)
    assert names.name(os.getpid()) == str(Path(sys.executable).resolve())
    assert names.name(2**22 + 1) == ""

import struct
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="system calls of Linux")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_loads_the_architecture_first_and_ends_with_a_refusal(machine: str) -> None:
    from agent.platform.sandbox.seccomp import filter_program

    program = filter_program(machine)
    instructions = list(struct.iter_unpack("HBBI", program))
    assert instructions[0] == (0x20, 0, 0, 4)
    assert instructions[-1] == (0x06, 0, 0, 0x0005_0000 | 1)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_jump_leaves_the_program(machine: str) -> None:
    from agent.platform.sandbox.seccomp import filter_program

    instructions = list(struct.iter_unpack("HBBI", filter_program(machine)))
    for at, (code, if_true, if_false, _operand) in enumerate(instructions):
        if code in {0x15, 0x45}:
            assert at + 1 + max(if_true, if_false) < len(instructions)


def test_a_machine_without_a_table_is_an_error_that_can_be_reported() -> None:
    from agent.platform.sandbox.seccomp import filter_program

    with pytest.raises(OSError, match="riscv64"):
        filter_program("riscv64")

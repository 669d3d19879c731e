"""A system call filter that knows what a scanning worker needs: memory, its open descriptors, its socket, the clock.

Everything else fails with EPERM: opening and stat-ing files, sockets, processes, signals, executable memory. The list
says what is allowed, so a system call that does not exist yet is forbidden already.
"""

import ctypes
import errno
import struct

from agent.platform.libc_linux import LIBC, check

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_RET_KILL_PROCESS = 0x8000_0000
_RET_ERRNO = 0x0005_0000
_RET_ALLOW = 0x7FFF_0000

# include/uapi/linux/bpf_common.h, spelled out for the five instructions used here.
_LOAD = 0x20
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_BITS_SET = 0x45
_RETURN = 0x06

# struct seccomp_data: int nr, u32 arch, u64 instruction pointer, u64 args[6]; of args[2] the low half, which comes
# first on both machines.
_NUMBER_AT = 0
_ARCHITECTURE_AT = 4
_THIRD_ARGUMENT_AT = 32
_PROT_EXEC = 4

#: System call to its number on (x86_64, aarch64); None: that machine has no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "poll": (7, None),
    "ppoll": (271, 73),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "pread64": (17, 67),
    "sched_yield": (24, 124),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "getrandom": (318, 278),
    "sysinfo": (99, 179),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
#: Allowed unless the memory would become executable.
_ALLOWED_WITHOUT_EXECUTION: dict[str, tuple[int, int]] = {"mmap": (9, 222), "mprotect": (10, 226)}

#: Machine to (AUDIT_ARCH of include/uapi/linux/audit.h, column of the tables above).
_MACHINES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}


def filter_program(machine: str) -> bytes:
    """The filter as BPF instructions.

    Args:
        machine: As `uname -m` says.

    Raises:
        OSError: No table for this machine.
    """
    if machine not in _MACHINES:
        raise OSError(errno.ENOTSUP, f"no system call table for {machine}")
    architecture, column = _MACHINES[machine]
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        # A 64-bit process can enter the 32-bit interface, where the numbers mean something else.
        _instruction(_JUMP_IF_EQUAL, architecture, if_true=1),
        _instruction(_RETURN, _RET_KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
    ]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program += [_instruction(_JUMP_IF_EQUAL, number, if_false=1), _instruction(_RETURN, _RET_ALLOW)]
    for pair in _ALLOWED_WITHOUT_EXECUTION.values():
        program += [
            _instruction(_JUMP_IF_EQUAL, pair[column], if_false=4),
            _instruction(_LOAD, _THIRD_ARGUMENT_AT),
            _instruction(_JUMP_IF_BITS_SET, _PROT_EXEC, if_true=1),
            _instruction(_RETURN, _RET_ALLOW),
            _instruction(_RETURN, _RET_ERRNO | errno.EPERM),
        ]
    program.append(_instruction(_RETURN, _RET_ERRNO | errno.EPERM))
    return b"".join(program)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install_filter(program: bytes) -> None:
    """Apply a filter to this thread, for good. Needs no-new-privileges or root.

    Raises:
        OSError: This kernel has no seccomp filters.
    """
    description = _FilterProgram(len(program) // struct.calcsize("HBBI"), program)
    check(LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(description), 0, 0))


def _instruction(code: int, operand: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)

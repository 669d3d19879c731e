"""Files that are held open for writing."""

import errno
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.platform.processes import writers
from agent.platform.processes.writers import held_by, held_for_writing, shared_writable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@contextmanager
def waiting(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that says a line when it is there, and ends with the block."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.communicate()


def ours() -> set[int]:
    return set(held_by(os.getpid()))


@pytest.mark.parametrize(("mode", "held"), [("ab", True), ("r+b", True), ("rb", False)])
def test_a_file_is_held_while_it_is_open_for_writing(tmp_path: Path, mode: str, *, held: bool) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n (deleted)")
    path.write_bytes(b"x")
    inode = path.stat().st_ino
    with path.open(mode):
        assert (inode in ours()) is held
    assert inode not in ours()


def test_what_has_no_path_is_no_file() -> None:
    pipe = os.pipe()
    try:
        assert os.fstat(pipe[1]).st_ino not in ours()
    finally:
        for end in pipe:
            os.close(end)


def test_a_system_that_does_not_tell_inodes_is_asked_for_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "_INODE", re.compile(b"of a later Linux"))
    with (tmp_path / "a").open("wb") as file:
        assert os.fstat(file.fileno()).st_ino in ours()


MAP_FOR_GOOD = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
descriptor = os.open(sys.argv[1], os.O_RDWR)
assert libc.mmap(None, 4096, 3, int(sys.argv[2]), descriptor, 0) not in (None, 2**64 - 1)
os.close(descriptor)
print(1, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("flags", "held"), [(mmap.MAP_SHARED, True), (mmap.MAP_PRIVATE, False)])
def test_a_shared_writable_mapping_holds_a_file_without_a_descriptor(tmp_path: Path, flags: int, *, held: bool) -> None:
    path = tmp_path / "a b"
    path.write_bytes(b"x" * 4096)
    with waiting(MAP_FOR_GOOD, str(path), str(flags)) as mapper:
        assert (path.stat().st_ino in set(held_by(mapper.pid))) is held


def test_names_in_the_list_of_mappings_are_believed_nothing() -> None:
    untrusted_maps = (
        b"7f00-7f01 rw-p 00000000 fd:00 11      /x 7f-80 rw-s 0 fd:00 66 /y\n"
        b"7f01-7f02 rw-s 00000000 fd:00 12      /tmp/a\rb (deleted)\n"
        b"7f02-7f03 r--s 00000000 fd:00 13      /tmp/c\n"
        b"7f03-7f04 rw-s 00000000 00:00 0 \n"
        b"7f04-7f05 -w"
    )
    assert set(shared_writable(untrusted_maps)) == {12}


@pytest.mark.parametrize("call", ["os.open", "builtins.open"])
def test_without_descriptors_there_is_no_list_rather_than_the_rest_of_one(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as lack:
        lack.setattr(call, none_left)
        with pytest.raises(OSError, match="open files"):
            held_for_writing()


def test_the_files_of_other_processes_are_known_and_ended_ones_hold_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    script = "import sys; f = open(sys.argv[1], 'wb'); f.write(b'x'); f.flush(); print(1, flush=True); sys.stdin.read()"
    with waiting(script, str(path)) as writer:
        inode = path.stat().st_ino
        assert inode in (held_for_writing() or ())
        assert inode in set(held_by(writer.pid))
    assert set(held_by(writer.pid)) == set()

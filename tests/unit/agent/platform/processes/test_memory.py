import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platform.processes.memory import (
    ProcessHandle,
    Region,
    pages_in_use,
    parse_smaps,
    parse_stat,
    process_ids,
)
from tests.fakes.roommate import process_with

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SMAPS = b"""\
55d0c8a00000-55d0c8a21000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
Rss:                  12 kB
Anonymous:            12 kB
Swap:                  4 kB
VmFlags: rd wr mr mw me ac sd
7f0000000000-7f0000001000 r-xp 00001000 08:01 1234                       /tmp/a b\\012c (deleted)
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f0000002000-7f0000003000 rw-s 00000000 00:05 9                          /dev/thing
Rss:                   0 kB
VmFlags: rd wr sh io pf dd
"""


def test_mappings_are_read_with_what_is_in_use() -> None:
    heap, gone, device = parse_smaps(SMAPS)
    assert heap == Region(0x55D0C8A00000, 0x55D0C8A21000, "rw-p", 0, "00:00", 0, "[heap]", 16384, 16384)
    assert (gone.name, gone.inode, gone.device, gone.offset) == ("/tmp/a b\\012c (deleted)", 1234, "08:01", 0x1000)
    assert (gone.in_use, gone.own, gone.is_device) == (4096, 0, False)
    assert device.is_device


def test_a_process_may_call_itself_anything() -> None:
    fields = b" S 77 " + b" ".join(b"%d" % number for number in range(5, 60))
    assert parse_stat(b"12 (evil) S 1 (x) \n y)" + fields) == ("evil) S 1 (x) \n y", 77, 22)


@pytest.mark.parametrize("text", [b"", b"12", b"12 (x", b"12 (x) S 1"])
def test_a_process_that_ended_while_it_was_asked_is_gone(text: bytes) -> None:
    with pytest.raises(ProcessLookupError):
        parse_stat(text)


@given(st.binary(max_size=400))
def test_whatever_stands_there_is_read_or_left_out(untrusted_text: bytes) -> None:
    assert all(region.start >= 0 for region in parse_smaps(untrusted_text))


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=40))
def test_runs_of_pages_are_exactly_the_pages_in_use(pages: list[int]) -> None:
    # 0: not there, 1: in memory, 2: swapped out; the lower bits mean other things.
    entries = b"".join((top << 62 | 0x55).to_bytes(8, "little") for top in (0 if p == 0 else 3 - p for p in pages))
    found = [page for run in pages_in_use(entries) for page in run]
    assert found == [number for number, page in enumerate(pages) if page]


def test_a_reserved_gigabyte_with_one_page_in_it_is_one_page() -> None:
    with process_with(b"needle-" * 10, reserve=1 << 30, at=1 << 29) as pid, ProcessHandle(pid) as process:
        (region,) = [r for r in process.regions() if r.end - r.start >= 1 << 30]
        (span,) = process.spans(region)
        # A page; of the huge ones on some machines.
        assert span.size <= 2 << 20
        assert b"needle-" in process.read(span.start, span.size)
        facts = process.facts()
        assert pid in process_ids()
    assert facts.parent == os.getpid()
    assert Path(facts.executable).samefile(sys.executable)


def test_a_handle_stands_for_one_process_and_no_other() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        handle = ProcessHandle(child.pid)
        address = handle.regions()[0].start
        child.kill()
    with handle:
        with pytest.raises(ProcessLookupError):
            handle.facts()
        with pytest.raises(OSError, match=r"."):
            handle.read(address, 1)
    with pytest.raises(ProcessLookupError):
        ProcessHandle(child.pid)

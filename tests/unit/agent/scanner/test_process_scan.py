import asyncio
import os
import sys
from collections.abc import Callable

import pytest

from agent.domain.facts import Finding, ScanFacts, Severity
from agent.platform.processes.memory import ProcessFacts
from agent.scanner.limits import MIB, Limits
from agent.scanner.process_scan import scan_processes
from tests.fakes.eicar import EICAR
from tests.fakes.roommate import process_with
from tests.fakes.scanner import FakeScanner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


async def scanned(
    pids: list[int],
    *,
    own: tuple[int, ...] = (),
    limits: Limits | None = None,
    is_excluded: Callable[[str], bool] = lambda _path: False,
    scanner: FakeScanner | None = None,
) -> dict[int, ScanFacts]:
    found: dict[int, ScanFacts] = {}

    async def receive(process: ProcessFacts, facts: ScanFacts) -> None:
        found[process.pid] = facts

    await scan_processes(
        scanner or WholeScanner(), limits or Limits(), own, is_excluded, receive, at_once=2, pids=lambda: pids
    )
    return found


class WholeScanner(FakeScanner):
    """Looks at everything it is given, and remembers its size."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        self.sizes.append(os.fstat(descriptor).st_size)
        facts = await super().scan(descriptor, path)
        content = os.pread(descriptor, self.sizes[-1], 0)
        return ScanFacts(facts.sha256, len(content), facts.findings if EICAR not in content else (FINDING,))


FINDING = Finding("EICAR_Test_File", "builtin", Severity.HIGH)


async def test_a_threat_in_anonymous_memory_is_found_and_where() -> None:
    with process_with(EICAR, at=4096 * 10) as pid:
        (facts,) = (await scanned([pid])).values()
    (finding,) = facts.findings
    start, _, end = finding.member_path[0].partition("-")
    # A page; of the huge ones on some machines.
    assert int(end, 16) - int(start, 16) <= 2 * MIB
    assert facts.size_bytes > 0
    assert not facts.incomplete


async def test_what_is_not_there_is_not_found() -> None:
    with process_with(b"hello") as pid:
        assert (await scanned([pid]))[pid].findings == ()


async def test_our_own_processes_are_left_out_with_all_they_started() -> None:
    with process_with(EICAR) as pid:
        assert await scanned([pid]) != {}
        assert await scanned([os.getpid(), pid], own=(os.getpid(),)) == {}


async def test_an_excluded_program_is_left_alone() -> None:
    with process_with(EICAR) as pid:
        assert await scanned([pid], is_excluded=lambda path: "python" in path) == {}


async def test_a_process_that_has_ended_is_no_error() -> None:
    with process_with(EICAR) as pid:
        pass
    assert await scanned([pid]) == {}


async def test_a_kernel_thread_has_no_memory_to_look_at() -> None:
    kernel_threads = 2
    assert await scanned([kernel_threads]) == {}


async def test_a_limit_on_bytes_is_named() -> None:
    with process_with(bytes(range(256)), times=4096, reserve=4 * MIB) as pid:
        facts = (await scanned([pid], limits=Limits(max_expanded_size=MIB)))[pid]
    assert [(item.reason, item.limit) for item in facts.incomplete] == [("max_expanded_size", MIB)]
    assert facts.size_bytes == MIB


async def test_pieces_are_no_larger_than_they_may_be() -> None:
    scanner = WholeScanner()
    with process_with(bytes(range(256)), times=16384, reserve=8 * MIB) as pid:
        facts = (await scanned([pid], limits=Limits(max_file_size=MIB), scanner=scanner))[pid]
    assert len(scanner.sizes) > 4
    # Zeros between what is not adjacent come on top.
    assert max(scanner.sizes) < 2 * MIB
    assert facts.incomplete == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights away")
async def test_what_we_may_not_read_is_an_error_and_not_the_end() -> None:
    # Loads what threads take, which may lie where only root may read.
    await asyncio.to_thread(int)
    with process_with(EICAR) as pid:
        os.seteuid(65_534)
        try:
            facts = (await scanned([pid]))[pid]
        finally:
            os.seteuid(0)
    assert facts.error == "unreadable"

"""Real workers, and everything that can happen to them."""

import asyncio
import gzip
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import Incomplete
from agent.platform.clock import SystemClock
from agent.scanner.limits import MIB, Limits
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from tests.fakes.archives import libarchive_of, shrink, tar_of, zip_of
from tests.fakes.disk_images import dmg_of, hfs_plus_of, udf_of
from tests.fakes.documents import mail_of, ole_of, onenote_of, pdf_of, rtf_of, tnef_of
from tests.fakes.eicar import EICAR
from tests.fakes.old_archives import arj_of, binhex_of, chm_of
from tests.fakes.waiting import until
from tests.fakes.zips import IMPLODE, Entry, zip_from
from tests.integration.compiled_rules import builtin_pack
from tests.integration.scanning import running_scanner, scan_path

ONE = ScannerSettings(workers=1)
IMPATIENT = ScannerSettings(workers=1, limits=Limits(timeout_s=2.0))


async def until_scanning(service: ScannerService) -> None:
    while not service.current_files():  # noqa: ASYNC110 -- the service has no event for tests
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "content", "member"),
    [
        ("eicar.com", EICAR, ()),
        ("a.zip", zip_of({"x/e.com": EICAR}), ("a.zip", "x/e.com")),
        ("a.tar.gz", shrink(tar_of({"e.com": EICAR}), "gz"), ("a.tar.gz", "a.tar", "e.com")),
        ("a.tar.xz", shrink(tar_of({"e.com": EICAR}), "xz"), ("a.tar.xz", "a.tar", "e.com")),
        ("zz.zip", zip_of({"z.zip": zip_of({"e.com": EICAR})}), ("zz.zip", "z.zip", "e.com")),
        ("a.7z", libarchive_of({"e.com": EICAR}, "7zip"), ("a.7z", "e.com")),
        ("a.txt.zst", libarchive_of({"e": EICAR}, "raw", "zstd"), ("a.txt.zst", "a.txt")),
        ("a.doc", ole_of({"Storage/e.com": EICAR}), ("a.doc", "Storage/e.com")),
        ("a.eml", mail_of({"e.com": EICAR}), ("a.eml", "e.com")),
        ("a.rtf", rtf_of(EICAR), ("a.rtf", "objdata-1/a.com")),
        ("a.pdf", pdf_of(EICAR, "/ASCIIHexDecode"), ("a.pdf", "object-3")),
        ("a.one", onenote_of(EICAR), ("a.one", "file-1")),
        ("winmail.dat", tnef_of("e.com", EICAR), ("winmail.dat", "e.com")),
        ("a.arj", arj_of({"e.com": EICAR}), ("a.arj", "e.com")),
        ("a.chm", chm_of({"e.com": EICAR}), ("a.chm", "e.com")),
        ("a.dmg", dmg_of(hfs_plus_of({"e.com": EICAR})), ("a.dmg", "0.disk", "volume/e.com")),
        ("a.img", udf_of({"e.com": EICAR}), ("a.img", "e.com")),
        ("a.hqx", binhex_of("e.com", EICAR), ("a.hqx", "e.com")),
        ("old.zip", zip_from(Entry("e.com", EICAR, IMPLODE)), ("old.zip", "e.com")),
    ],
    ids=[
        "plain",
        "zip",
        "tar.gz",
        "tar.xz",
        "zip in zip",
        "7z",
        "zstd",
        "ole2",
        "mail",
        "rtf",
        "pdf",
        "onenote",
        "tnef",
        "arj",
        "chm",
        "dmg",
        "udf",
        "binhex",
        "imploded",
    ],
)
async def test_eicar_is_found_in_every_wrapping(
    tmp_path: Path, name: str, content: bytes, member: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(content)
    async with running_scanner() as service:
        facts = await scan_path(service, tmp_path / name)
    assert member in [finding.member_path for finding in facts.findings if finding.rule == "eicar_test_file"]
    assert facts.incomplete == ()
    assert facts.engine.startswith("yara ")
    assert facts.signatures_version.startswith("2026.")


async def test_a_name_of_any_bytes_is_scanned(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/new\nline\xff.zip"))
    path.write_bytes(zip_of({"e\n.com": EICAR}))  # noqa: ASYNC240 -- a few bytes in a scratch folder
    async with running_scanner() as service:
        facts = await scan_path(service, path)
    assert facts.findings[-1].member_path == (path.name, "e\n.com")


async def test_a_worker_that_rests_has_the_file_before_anybody_awaits_it(tmp_path: Path) -> None:
    file = tmp_path / "eicar.com"
    file.write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        with file.open("rb") as opened:
            scanning = service.scan(opened.fileno(), str(file))
            assert service.current_files() == (str(file),)
            assert (await scanning).findings


async def test_what_is_no_regular_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    async with running_scanner() as service:
        descriptor = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        facts = await service.scan(descriptor, "fifo")
        os.close(descriptor)
        closed = await service.scan(descriptor, "closed")
    assert (facts.error, closed.error) == ("not_a_regular_file", "unreadable")


async def test_a_sparse_terabyte_is_incomplete_at_once(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    async with running_scanner() as service:
        facts = await scan_path(service, tmp_path / "huge")
    assert facts.incomplete == (Incomplete("max_file_size", 256 * MIB),)


async def test_a_worker_killed_in_the_middle_costs_its_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(scan_path(service, tmp_path / "e"))
            await until_scanning(service)
            waiting = [tasks.create_task(scan_path(service, tmp_path / "e")) for _ in range(5)]
            os.kill(victim, signal.SIGKILL)
        assert lost.result().incomplete == (Incomplete("worker_crashed"),)
        assert all(task.result().findings for task in waiting)
        assert victim not in service.worker_pids()
        assert service.health() == ()


async def test_a_worker_that_hangs_is_killed_and_its_file_is_timed_out(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(IMPATIENT) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGSTOP)
        facts = await scan_path(service, tmp_path / "e")
        assert facts.incomplete == (Incomplete("timeout", 2),)
        assert (await scan_path(service, tmp_path / "e")).findings


async def test_a_worker_out_of_memory_says_so_and_makes_room_for_a_fresh_one(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(200 * MIB), 1))
    (tmp_path / "e").write_bytes(EICAR)
    settings = replace(ONE, worker_memory=64 * MIB, limits=Limits(max_ratio=10_000))
    async with running_scanner(settings) as service:
        before = service.worker_pids()
        facts = await scan_path(service, tmp_path / "bomb.gz")
        assert Incomplete("worker_out_of_memory") in facts.incomplete
        assert facts.sha256
        assert (await scan_path(service, tmp_path / "e")).findings
        assert service.worker_pids().isdisjoint(before)


async def test_a_worker_killed_while_it_rests_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGKILL)
        while victim in service.worker_pids():  # noqa: ASYNC110 -- the service has no event for tests
            await asyncio.sleep(0.01)
        assert (await scan_path(service, tmp_path / "e")).findings


async def test_workers_are_recycled_without_a_gap(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(replace(ONE, recycle_after_files=3)) as service:
        first = service.worker_pids()
        async with asyncio.timeout(60):
            while first & service.worker_pids():
                assert (await scan_path(service, tmp_path / "e")).findings


async def test_a_worker_that_has_grown_is_replaced(tmp_path: Path) -> None:
    # What was freed of more than that goes back to the system: a worker keeps the room for a content of this size.
    (tmp_path / "large").write_bytes(bytes(MIB))
    async with running_scanner(replace(ONE, recycle_after_growth=MIB // 2)) as service:
        first = service.worker_pids()
        async with asyncio.timeout(60):
            while first & service.worker_pids():
                assert (await scan_path(service, tmp_path / "large")).incomplete == ()


async def test_files_that_wait_behind_one_that_kills_its_worker_are_scanned_by_another(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(replace(ONE, files_ahead=2)) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            scans = [tasks.create_task(scan_path(service, tmp_path / "e")) for _ in range(3)]
            await until_scanning(service)
            await asyncio.sleep(0)
            os.kill(victim, signal.SIGKILL)
        lost, *others = [scan.result() for scan in scans]
        assert lost.incomplete == (Incomplete("worker_crashed"),)
        assert all(facts.findings for facts in others)


async def test_files_that_wait_behind_a_slow_one_are_handed_to_another_worker(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(replace(ONE, workers=2, files_ahead=2)) as service:
        await until(lambda: len(service.worker_pids()) == 2)
        slow = min(service.worker_pids())
        os.kill(slow, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            scans = [tasks.create_task(scan_path(service, tmp_path / "e")) for _ in range(6)]
            await until(lambda: sum(scan.done() for scan in scans) == 5)
            os.kill(slow, signal.SIGCONT)
        assert all(scan.result().findings for scan in scans)


async def test_the_end_of_the_process_that_forks_workers_is_made_up_for(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (zygote,) = service.process_ids() - service.worker_pids()
        os.kill(zygote, signal.SIGKILL)
        while zygote in service.process_ids():  # noqa: ASYNC110 -- there is no event for tests
            await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while not (await scan_path(service, tmp_path / "e")).findings:
                pass
        assert service.health() == ()


async def test_a_scan_that_nobody_waits_for_any_more_frees_its_worker(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (worker,) = service.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(scan_path(service, tmp_path / "e"), 0.05)
        os.kill(worker, signal.SIGCONT)
        assert (await scan_path(service, tmp_path / "e")).findings
        assert service.worker_pids() == {worker}


async def test_a_file_that_changes_while_it_is_scanned_says_so(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(b"innocent")
    async with running_scanner(ONE) as service:
        (worker,) = service.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            scan = tasks.create_task(scan_path(service, tmp_path / "e"))
            await until_scanning(service)
            (tmp_path / "e").write_bytes(b"something else")
            os.kill(worker, signal.SIGCONT)
    assert Incomplete("changed") in scan.result().incomplete


async def test_too_many_waiting_scans_are_refused(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(replace(ONE, max_waiting=1)) as service:
        (worker,) = service.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scan_path(service, tmp_path / "e"))
            await until_scanning(service)
            tasks.create_task(scan_path(service, tmp_path / "e"))
            await asyncio.sleep(0)
            assert (await scan_path(service, tmp_path / "e")).error == "scanner_overloaded"
            os.kill(worker, signal.SIGCONT)


async def test_closing_ends_what_is_under_way_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (worker,) = service.worker_pids()
        os.kill(worker, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            scans = [tasks.create_task(scan_path(service, tmp_path / "e")) for _ in range(3)]
            await until_scanning(service)
            await service.close()
        assert {scan.result().error for scan in scans} == {"scanner_closed"}
        assert (await scan_path(service, tmp_path / "e")).error == "scanner_closed"
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


async def test_workers_that_cannot_start_are_one_clear_error() -> None:
    pack = builtin_pack()
    with tempfile.TemporaryFile() as garbage:
        garbage.write(b"no compiled rules")
        garbage.flush()
        service = ScannerService(ONE, replace(pack, image=garbage.fileno()), SystemClock())
        with pytest.raises(BucklerError) as caught:
            await service.start()
    pack.close()
    assert (caught.value.code, caught.value.exit_status) == ("SCANNER_UNAVAILABLE", ExitStatus.ENVIRONMENT)
    assert service.worker_pids() == frozenset()


async def test_a_worker_that_dies_while_its_successor_starts_leaves_no_more_workers_than_wanted(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(replace(ONE, recycle_after_files=2)) as service:
        (first,) = service.worker_pids()
        for _ in range(2):
            await scan_path(service, tmp_path / "e")
        os.kill(first, signal.SIGKILL)
        while first in service.worker_pids() or not service.worker_pids():  # noqa: ASYNC110 -- there is no event for tests
            await asyncio.sleep(0.01)
        assert len(service.worker_pids()) == 1
        assert (await scan_path(service, tmp_path / "e")).findings


async def test_a_worker_restarted_for_what_it_uses_costs_its_file_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    async with running_scanner(ONE) as service:
        (victim,) = service.worker_pids()
        os.kill(victim, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(scan_path(service, tmp_path / "e"))
            await until_scanning(service)
            assert service.work_under_way() == {victim: str(tmp_path / "e")}
            assert service.restart_worker(victim, "it holds too much memory")
        assert lost.result().incomplete == (Incomplete("worker_restarted"),)
        assert not service.restart_worker(victim, "again")
        assert (await scan_path(service, tmp_path / "e")).findings

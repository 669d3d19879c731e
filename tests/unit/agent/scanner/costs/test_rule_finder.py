"""Costly rules are looked for while nothing waits, once for each content, and nothing is made up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from agent.domain.blame import Blame
from agent.scanner.costs.rule_finder import RuleFinder, time_in_another_process
from agent.scanner.costs.rule_timing import TimingOrder, decode_order, encode_order
from agent.scanner.limits import Limits
from tests.fakes.waiting import until

FOUND = Blame("rule ns.slow", 3.0, 4.0)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "file"
        self.file.write_bytes(b"content")
        self.rests = True
        self.timed: list[str] = []
        self.during: Callable[[], object] = lambda: None
        self.failure: OSError | None = None
        self.finder = RuleFinder(lambda: self.rests, self.time, look_every_s=0.001, pause_s=0.0)

    async def time(self, path: str, told: Callable[[int | None], None]) -> Blame:
        told(4711)
        await asyncio.sleep(0)
        assert self.finder.process_ids() == {4711}
        self.timed.append(path)
        self.during()
        if self.failure is not None:
            raise self.failure
        return FOUND

    def said(self) -> str:
        return self.finder.said_of(str(self.file))

    async def told(self, word: str) -> None:
        await until(lambda: word in self.said())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.finder.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_the_rule_is_named_and_the_same_content_is_not_measured_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        for _ in range(2):
            bench.finder.suspect(str(bench.file))
            await bench.told("mostly rule ns.slow (3.0 s of 4.0 s)")
        bench.file.write_bytes(b"other content")
        bench.finder.suspect(str(bench.file))
        await until(lambda: len(bench.timed) == 2)
    assert bench.finder.process_ids() == frozenset()


async def test_nothing_is_measured_while_a_file_is_scanned(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.rests = False
    async with bench.running():
        bench.finder.suspect(str(bench.file))
        await asyncio.sleep(0.01)
        assert not bench.timed
        assert "will be timed when no other file waits" in bench.said()
        bench.rests = True
        await bench.told("ns.slow")


async def test_a_file_that_changes_meanwhile_is_not_judged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.during = lambda: bench.file.write_bytes(b"now something else")
    async with bench.running():
        bench.finder.suspect(str(bench.file))
        await bench.told("it was changed while its rules were timed")
    assert "ns.slow" not in bench.said()


async def test_a_file_that_is_gone_and_a_measurement_that_fails_say_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.failure = OSError(12, "Cannot allocate memory")
    bench.finder.suspect(str(tmp_path / "gone"))
    assert "it cannot be read any more" in bench.finder.said_of(str(tmp_path / "gone"))
    async with bench.running():
        bench.finder.suspect(str(bench.file))
        await bench.told("timing its rules failed: Cannot allocate memory")


def test_an_order_survives_the_command_line() -> None:
    order = TimingOrder("/odd\udcff\nname", "yara", Limits(timeout_s=5.0), ("/rules",), 3.0)
    assert encode_order(order).isascii()
    assert decode_order(encode_order(order)) == order


async def test_the_program_names_a_rule_that_is_costly_on_purpose(tmp_path: Path) -> None:
    rules, file = tmp_path / "slow.yar", tmp_path / "file"
    rules.write_text("rule costly { condition: for all i in (1..8000000) : ( uint8(i % filesize) != 0x199 ) }")
    file.write_bytes(b"x" * 1000)
    pids: list[int | None] = []
    order = TimingOrder(str(file), "yara", Limits(timeout_s=60.0), (str(rules),), 200.0, built_in=False)
    blame = await time_in_another_process(order, pids.append)
    assert blame.rule == "rule slow.costly", blame
    assert len(pids) == 1

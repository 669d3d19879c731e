import asyncio
import threading

import pytest

from agent.platform.work_threads import WorkThreads


async def test_work_is_done_in_a_thread_of_that_name_and_its_result_comes_back() -> None:
    threads = WorkThreads("digging")
    name, doubled = await threads.do(lambda order: (threading.current_thread().name, order * 2), 21)
    assert (name.startswith("digging"), doubled) == (True, 42)


async def test_what_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await WorkThreads("digging").do(lambda order: 1 // order, 0)


async def test_work_that_nobody_waits_for_any_more_goes_on_to_its_end() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work(_order: None) -> None:
        begun.set()
        go_on.wait(30)
        ended.set()

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(WorkThreads("digging").do(work, None))
        await asyncio.to_thread(begun.wait, 30)
        waiting.cancel()
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_several_orders_are_worked_on_at_once() -> None:
    threads, both = WorkThreads("digging"), threading.Barrier(2, timeout=30)
    assert sorted(await asyncio.gather(*(threads.do(lambda _: both.wait(), None) for _ in range(2)))) == [0, 1]


def test_a_loop_that_is_closed_is_told_nothing() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work(_order: None) -> None:
        go_on.wait(30)
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await WorkThreads("digging").do(work, None)

    asyncio.run(give_up())
    go_on.set()
    assert ended.wait(30)


async def test_orders_beyond_the_last_thread_wait_for_one_of_them() -> None:
    threads, two_begun, go_on = WorkThreads("digging", most=2), threading.Semaphore(0), threading.Event()
    begun: list[int] = []

    def work(order: int) -> str:
        begun.append(order)
        two_begun.release()
        go_on.wait(30)
        return threading.current_thread().name

    async with asyncio.TaskGroup() as tasks:
        orders = [tasks.create_task(threads.do(work, order)) for order in range(4)]
        for _ in range(2):
            assert await asyncio.to_thread(two_begun.acquire, timeout=30)
        assert sorted(begun) == [0, 1]
        go_on.set()
    assert (sorted(begun), len({order.result() for order in orders})) == ([0, 1, 2, 3], 2)


async def test_the_thread_that_worked_last_works_next() -> None:
    threads, both = WorkThreads("digging"), threading.Barrier(2, timeout=30)
    await asyncio.gather(*(threads.do(lambda _: both.wait(), None) for _ in range(2)))
    names = [await threads.do(lambda _: threading.current_thread().name, None) for _ in range(3)]
    assert len(set(names)) == 1

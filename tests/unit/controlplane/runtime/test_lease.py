import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.runtime.lease import LeaseTimes, held
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.waiting import until

TIMES = LeaseTimes(
    lasts=timedelta(seconds=50), renewed_every=timedelta(milliseconds=10), stops_before=timedelta(seconds=15)
)
#: Nobody gets as far as the first renewal before the work has to stop.
SHORT = LeaseTimes(
    lasts=timedelta(milliseconds=50), renewed_every=timedelta(minutes=1), stops_before=timedelta(milliseconds=45)
)


class Book:
    """Where renewals are asked for."""

    def __init__(self, *, answer: bool | Exception = True) -> None:
        self.answer = answer
        self.renewed = 0

    async def renew(self) -> bool:
        self.renewed += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("renewed", "ends", "stops"), [(0.0, 240.0, 35.0), (100.0, 240.0, 135.0), (230.0, 240.0, 240.0)]
)
def test_work_stops_before_others_may_begin_and_when_its_time_is_over(
    renewed: float, ends: float, stops: float
) -> None:
    assert TIMES.stops_at(renewed, ends) == stops


def test_several_renewals_may_fail() -> None:
    times = LeaseTimes()
    assert 3 * times.renewed_every < times.lasts - times.stops_before
    assert times.lasts < timedelta(minutes=1)


async def test_it_is_renewed_as_long_as_the_work_goes_on_and_no_longer() -> None:
    book = Book()
    async with held(book.renew, TIMES):
        await until(lambda: book.renewed >= 3)
    renewed = book.renewed
    await asyncio.sleep(0.05)
    assert book.renewed == renewed


async def test_renewals_move_the_end_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    machine_time, later = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: machine_time() + later)
    renewed_often = asyncio.Event()

    async def renew_and_let_time_pass() -> bool:
        nonlocal later
        later += 40.0
        if later > 3 * TIMES.lasts.total_seconds():
            renewed_often.set()
        return True

    async with held(renew_and_let_time_pass, replace(TIMES, lasts=timedelta(seconds=100))):
        await renewed_often.wait()
    assert loop.time() - machine_time() > 100


@pytest.mark.parametrize("answer", [True, DatabaseUnavailableError("away")])
async def test_work_that_cannot_be_renewed_in_time_is_stopped(*, answer: bool | Exception) -> None:
    times = SHORT if answer is True else replace(TIMES, lasts=timedelta(seconds=15.2))
    book = Book(answer=answer)
    with pytest.raises(TimeoutError):
        async with held(book.renew, times):
            await asyncio.Event().wait()
    assert bool(book.renewed) == (answer is not True)


async def test_work_whose_lease_is_somebody_elses_is_stopped_at_once() -> None:
    book = Book(answer=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30), held(book.renew, TIMES):
            await asyncio.Event().wait()
    assert book.renewed == 1


async def test_work_that_takes_too_long_is_stopped_however_often_it_is_renewed() -> None:
    with pytest.raises(TimeoutError):
        async with held(Book().renew, TIMES, longest=timedelta(milliseconds=100)):
            await asyncio.Event().wait()


@pytest.mark.parametrize("error", [KeyError("mine"), TimeoutError("of a call"), asyncio.CancelledError()])
async def test_what_the_work_raises_is_raised_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        async with held(Book().renew, TIMES):
            raise error
    assert raised.value is error

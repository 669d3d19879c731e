import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from controlplane.runtime.jobs.board import (
    JobEntry,
    JobQuery,
    JobState,
    jobs_on_board,
    parked_jobs,
    read_job_key,
    retry_job,
    retry_parked,
)
from controlplane.runtime.jobs.claims import CLAIM_TIMES, JobClaims
from controlplane.runtime.jobs.queue import (
    LONGEST_RETRY,
    PARKED_AFTER,
    Failure,
    Handler,
    Job,
    ensure_recurring,
    schedule,
)
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tables import jobs
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY, FakeClock

HOUR = timedelta(hours=1)
#: Renewed at once, but as long as in real life.
EAGER = replace(CLAIM_TIMES, renewed_every=timedelta(milliseconds=10))


class Diary:
    """A handler that writes down what ran when."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.entries: list[tuple[str, datetime, datetime]] = []
        self.broken: set[str] = set()

    async def write(self, job: Job) -> None:
        if job.subject in self.broken:
            raise RuntimeError("broken on purpose")
        self.entries.append((job.subject or job.kind, job.due_at, self._clock.now()))

    @property
    def subjects(self) -> list[str]:
        return [subject for subject, _, _ in self.entries]


def runner(
    database: Database,
    wall: FakeClock,
    handlers: Mapping[str, Handler],
    *,
    owner: str = "srv_1",
) -> JobRunner:
    times = TenantTimes(database)
    return JobRunner(database=database, wall=wall, owner=owner, handlers=handlers, times=times, lease=EAGER)


async def plan(database: Database, kind: str, subject: str, due_at: datetime) -> None:
    async with database.transaction() as uow:
        await schedule(uow, kind=kind, subject=subject, due_at=due_at)


async def board(database: Database, clock: FakeClock, *states: JobState) -> list[JobEntry]:
    async with database.reading() as connection:
        return list(await jobs_on_board(connection, JobQuery(frozenset(states)), now=clock.now()))


async def test_jobs_run_once_in_the_order_of_their_instants_and_not_before(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    works = runner(database, clock, {"note": diary.write})
    for subject, hours in (("c", 3), ("a", 1), ("b", 2), ("later", 5)):
        await plan(database, "note", subject, SOME_MONDAY + hours * HOUR)
    report = await works.run_until(SOME_MONDAY + 4 * HOUR)
    assert (report.run, diary.subjects) == (3, ["a", "b", "c"])
    assert (await works.run_until(SOME_MONDAY + 4 * HOUR)).run == 0


async def test_a_sweep_makes_up_for_a_long_absence_with_one_run(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    works = runner(database, clock, {"sweep": diary.write})
    for _ in range(2):
        async with database.transaction() as uow:
            await ensure_recurring(uow, kind="sweep", every=HOUR, first_at=SOME_MONDAY)
    assert (await works.run_until(SOME_MONDAY + 365 * 24 * HOUR)).run == 1
    assert (await works.run_until(SOME_MONDAY + (365 * 24 + 1) * HOUR)).run == 1


async def test_a_job_that_fails_rests_and_is_tried_again_while_others_go_on(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    diary.broken.add("bad")
    works = runner(database, clock, {"note": diary.write})
    await plan(database, "note", "bad", SOME_MONDAY)
    await plan(database, "note", "good", SOME_MONDAY)
    report = await works.run_until(SOME_MONDAY)
    assert (report.run, report.failed, diary.subjects) == (1, 1, ["good"])
    async with database.reading() as connection:
        assert (await connection.execute(select(jobs.c.attempts, jobs.c.last_error))).one() == (1, "RuntimeError")
    diary.broken.clear()
    assert (await works.run_until(SOME_MONDAY)).run == 0
    clock.advance(timedelta(seconds=2))
    assert (await works.run_until(SOME_MONDAY)).run == 1


async def test_a_job_that_waited_for_something_that_was_cancelled_fails_and_others_go_on(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)

    async def wait(_job: Job) -> None:
        other: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    await plan(database, "bad", "x", SOME_MONDAY)
    await plan(database, "note", "good", SOME_MONDAY)
    report = await runner(database, clock, {"bad": wait, "note": diary.write}).run_until(SOME_MONDAY)
    assert (report.run, report.failed, diary.subjects) == (1, 1, ["good"])
    assert [(each.state, each.error) for each in await board(database, clock)] == [(JobState.RESTING, "CancelledError")]


async def test_a_job_that_goes_on_failing_is_parked_with_its_reason_until_somebody_wakes_it(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    diary.broken.add("bad")
    works = runner(database, clock, {"note": diary.write})
    await plan(database, "note", "bad", SOME_MONDAY)
    for _ in range(PARKED_AFTER + 3):
        await works.run_until(SOME_MONDAY)
        clock.advance(LONGEST_RETRY)
    [entry] = await board(database, clock, JobState.PARKED)
    assert (str(entry.key), entry.attempts, entry.error) == ("-/note/bad", PARKED_AFTER, "RuntimeError")
    assert "on purpose" not in entry.sentence
    async with database.reading() as connection:
        assert await parked_jobs(connection) == [("note", "RuntimeError", 1)]
    diary.broken.clear()
    async with database.transaction() as uow:
        assert await retry_parked(uow, "another") == []
        assert await retry_parked(uow) == [entry.key]
    assert [(each.state, each.attempts) for each in await board(database, clock)] == [(JobState.DUE, 0)]
    assert (await works.run_until(SOME_MONDAY)).run == 1


async def test_the_board_says_how_each_job_is(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    diary.broken.add("resting")
    seen: list[tuple[str, JobState]] = []

    async def look(_job: Job) -> None:
        seen.extend((each.key.subject, each.state) for each in await board(database, clock))

    await plan(database, "note", "resting", SOME_MONDAY - HOUR)
    await plan(database, "other", "due", SOME_MONDAY)
    await plan(database, "look", "running", SOME_MONDAY)
    await plan(database, "note", "waiting", SOME_MONDAY + HOUR)
    await runner(database, clock, {"note": diary.write, "look": look}).run_until(SOME_MONDAY)
    assert seen == [
        (state.value, state) for state in (JobState.RESTING, JobState.RUNNING, JobState.DUE, JobState.WAITING)
    ]
    assert [each.key.subject for each in await board(database, clock, JobState.DUE, JobState.WAITING)] == [
        "due",
        "waiting",
    ]


async def test_only_a_job_that_failed_is_tried_again(database: Database) -> None:
    clock = FakeClock()
    await plan(database, "note", "fine", SOME_MONDAY)
    for subject, reason in (("fine", "JOB_NOT_FAILED"), ("none", "JOB_NOT_FOUND")):
        with pytest.raises(Refusal) as refused:
            async with database.transaction() as uow:
                await retry_job(uow, read_job_key(f"-/note/{subject}"))
        assert refused.value.reason == reason
    diary = Diary(clock)
    diary.broken.add("fine")
    await runner(database, clock, {"note": diary.write}).run_until(SOME_MONDAY)
    async with database.transaction() as uow:
        await retry_job(uow, read_job_key("-/note/fine"))
    assert [each.state for each in await board(database, clock)] == [JobState.DUE]


async def test_a_job_that_is_scheduled_anew_while_it_runs_runs_once_more_but_not_at_the_same_time(
    database: Database,
) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    other = runner(database, clock, {"note": diary.write}, owner="srv_other")
    meanwhile: list[int] = []

    async def moved(_job: Job) -> None:
        if not meanwhile:
            await plan(database, "note", "x", SOME_MONDAY)
        meanwhile.append((await other.run_until(SOME_MONDAY)).run)

    await plan(database, "note", "x", SOME_MONDAY)
    await runner(database, clock, {"note": moved}).run_until(SOME_MONDAY)
    assert (meanwhile, diary.subjects) == ([0, 0], [])


async def test_whoever_comes_back_after_its_claim_ran_out_changes_nothing(database: Database) -> None:
    clock = FakeClock()
    await plan(database, "note", "x", SOME_MONDAY)
    claims = JobClaims(database=database, wall=clock, owner="srv_1", kinds=frozenset({"note"}))
    late = await claims.take()
    clock.advance(CLAIM_TIMES.lasts)
    heir = await claims.take()
    assert late is not None
    assert heir is not None
    await claims.finish(late, SOME_MONDAY)
    assert not await claims.rest(late, Failure("ANY", "any"))
    assert [(each.state, each.attempts) for each in await board(database, clock)] == [(JobState.RUNNING, 0)]
    await claims.finish(heir, SOME_MONDAY)
    assert await board(database, clock) == []


async def test_replicas_that_look_at_once_run_each_job_once(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    replicas = [runner(database, clock, {"note": diary.write}, owner=f"srv_{number}") for number in range(4)]
    for number in range(12):
        await plan(database, "note", f"{number:02}", SOME_MONDAY)
    reports = await asyncio.gather(*(replica.run_until(SOME_MONDAY) for replica in replicas))
    assert sum(report.run for report in reports) == 12
    assert sorted(diary.subjects) == [f"{number:02}" for number in range(12)]


async def test_a_job_of_a_replica_that_died_is_taken_over_within_a_minute(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    await plan(database, "note", "orphan", SOME_MONDAY)
    dead = JobClaims(database=database, wall=clock, owner="srv_dead", kinds=frozenset({"note"}))
    assert await dead.take() is not None
    heir = runner(database, clock, {"note": diary.write}, owner="srv_heir")
    assert (await heir.run_until(SOME_MONDAY)).run == 0
    clock.advance(timedelta(minutes=1))
    assert (await heir.run_until(SOME_MONDAY)).run == 1


async def test_a_job_that_outlives_its_claim_is_nobody_elses(database: Database) -> None:
    clock = FakeClock()
    other = runner(database, clock, {"note": Diary(clock).write}, owner="srv_other")
    taken_over: list[int] = []

    async def long(_job: Job) -> None:
        for _ in range(3):
            clock.advance(CLAIM_TIMES.lasts - timedelta(seconds=1))
            async with asyncio.timeout(30):
                while (await board(database, clock))[0].until != clock.now() + CLAIM_TIMES.lasts:  # noqa: ASYNC110 -- a row
                    await asyncio.sleep(0.005)
            taken_over.append((await other.run_until(SOME_MONDAY)).run)

    await plan(database, "note", "long", SOME_MONDAY)
    assert (await runner(database, clock, {"note": long}).run_until(SOME_MONDAY)).run == 1
    assert taken_over == [0, 0, 0]
    assert await board(database, clock) == []


async def test_whoever_lost_the_claim_is_stopped_and_changes_nothing(database: Database) -> None:
    clock = FakeClock()
    ends: list[str] = []

    async def robbed(_job: Job) -> None:
        async with database.transaction() as uow:
            await uow.connection.execute(update(jobs).values(claimed_by="srv_other:1"))
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("stopped")

    await plan(database, "note", "x", SOME_MONDAY)
    report = await runner(database, clock, {"note": robbed}).run_until(SOME_MONDAY)
    assert (report.run, report.failed, ends) == (0, 1, ["stopped"])
    assert [(each.state, each.attempts) for each in await board(database, clock)] == [(JobState.RUNNING, 0)]


async def test_a_server_that_stops_in_the_middle_of_a_job_leaves_it_to_the_next_one(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    began = asyncio.Event()

    async def endless(_job: Job) -> None:
        began.set()
        await asyncio.Event().wait()

    await plan(database, "note", "x", SOME_MONDAY)
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(runner(database, clock, {"note": endless}).run_forever())
        await began.wait()
        stopping.cancel()
    assert (await runner(database, clock, {"note": diary.write}, owner="srv_2").run_until(SOME_MONDAY)).run == 1


async def test_a_job_of_an_unknown_kind_is_left_to_a_server_that_knows_it(database: Database) -> None:
    clock = FakeClock()
    await plan(database, "future", "x", SOME_MONDAY)
    assert (await runner(database, clock, {"note": Diary(clock).write}).run_until(SOME_MONDAY)).run == 0


async def test_a_job_may_schedule_itself_anew(database: Database) -> None:
    clock = FakeClock()
    seen: list[datetime] = []

    async def again(job: Job) -> None:
        seen.append(job.due_at)
        await plan(database, "again", job.subject, job.due_at + HOUR)

    await plan(database, "again", "x", SOME_MONDAY)
    assert (await runner(database, clock, {"again": again}).run_until(SOME_MONDAY + 2 * HOUR)).run == 3
    assert seen == [SOME_MONDAY, SOME_MONDAY + HOUR, SOME_MONDAY + 2 * HOUR]


async def test_whoever_watches_sees_each_job_how_it_ends_and_that_it_was_given_up(database: Database) -> None:
    clock = FakeClock()
    diary = Diary(clock)
    diary.broken.add("bad")
    works = runner(database, clock, {"note": diary.write})
    seen: list[tuple[str, str]] = []

    @contextmanager
    def watcher(job: Job) -> Iterator[None]:
        outcome = "failed"
        try:
            yield
            outcome = "succeeded"
        finally:
            seen.append((job.subject, outcome))

    works.watch(watcher, lambda job: seen.append((job.subject, "given up")))
    await plan(database, "note", "bad", SOME_MONDAY)
    await plan(database, "note", "good", SOME_MONDAY)
    for _ in range(PARKED_AFTER):
        await works.run_until(clock.now())
        clock.advance(LONGEST_RETRY)
    assert seen[:2] == [("bad", "failed"), ("good", "succeeded")]
    assert seen[2:] == [("bad", "failed")] * (PARKED_AFTER - 1) + [("bad", "given up")]

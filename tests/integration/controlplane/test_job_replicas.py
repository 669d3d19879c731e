"""Two processes with the jobs of one database; one of them is killed in the middle of its work."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY
from tests.integration.controlplane.job_process import KIND

PATIENCE_S = 60.0
#: A job of a replica that was killed is somebody else's by then.
LATER = 1


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[list[Process]]:
    module = "tests.integration.controlplane.job_process"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", module, database.url, stdin=PIPE, stdout=PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert await answer(process) == "ready"
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def answer(process: Process) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))


def order(process: Process, *, minute: int = 0, hang: bool = False) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"minute": minute, "hang": hang}).encode() + b"\n")


async def plan(database: Database, *subjects: str) -> None:
    async with database.transaction() as uow:
        for subject in subjects:
            await schedule(uow, kind=KIND, subject=subject, due_at=SOME_MONDAY)


async def test_each_job_runs_once_also_when_a_replica_is_killed_in_the_middle(
    database: Database, replicas: list[Process]
) -> None:
    first, second = replicas
    race = [f"race-{number:02}" for number in range(30)]
    await plan(database, *race)
    for replica in replicas:
        order(replica)
    ran = [*await answer(first), *await answer(second)]
    assert sorted(ran) == race

    rest = [f"rest-{number:02}" for number in range(5)]
    await plan(database, *rest)
    order(first, hang=True)
    assert await answer(first) == "hanging"
    first.kill()
    order(second, minute=LATER - 1)
    assert await answer(second) == rest[1:]
    order(second, minute=LATER)
    assert await answer(second) == rest[:1]
    async with database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(jobs)) == 0

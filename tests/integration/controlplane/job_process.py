"""A replica that runs jobs when it is told to, as a process that a test can kill: `python -m … DATABASE_URL`.

Reads orders as lines of JSON: `minute` of its clock, and whether to `hang` in the first job. Answers with the subjects
that it ran, or says that it hangs.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

from controlplane.runtime.jobs.queue import Job
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY, FakeClock

KIND = "note"


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _obey(url: str) -> None:
    database, clock = Database(url), FakeClock()
    ran: list[str] = []
    hangs = False

    async def note(job: Job) -> None:
        if hangs:
            _say("hanging")
            await asyncio.Event().wait()
        # Others get a turn in the middle of the work.
        await asyncio.sleep(0)
        ran.append(job.subject)

    owner, times = f"srv_{os.getpid()}", TenantTimes(database)
    runner = JobRunner(database=database, wall=clock, owner=owner, handlers={KIND: note}, times=times)
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        hangs = order["hang"]
        clock.set_wall(SOME_MONDAY + timedelta(minutes=order["minute"]))
        await runner.run_until(clock.now())
        _say(ran)
        ran.clear()
    await database.close()


if __name__ == "__main__":
    asyncio.run(_obey(sys.argv[1]))

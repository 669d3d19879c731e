"""Jobs of a world whose clock the test moves."""

from datetime import datetime

from controlplane.runtime.jobs.queue import Job
from controlplane.runtime.jobs.runner import JobRunner, RunReport
from controlplane.runtime.tables import jobs
from tests.fakes.clock import SOME_MONDAY, FakeClock


def job_of_kind(kind: str) -> Job:
    """One that is due and runs for the third time."""
    return Job(org_id="org_1", kind=kind, subject="thing_1", due_at=SOME_MONDAY, every=None, attempts=2)


async def pass_time(runner: JobRunner, clock: FakeClock, until: datetime) -> RunReport:
    """Move the clock to `until`; whatever falls due on the way happens at its own instant."""
    run = failed = 0
    while (job := await runner.take(jobs.c.due_at <= until)) is not None:
        clock.set_wall(max(clock.now(), job.due_at))
        if await runner.run(job, until):
            run += 1
        else:
            failed += 1
    clock.set_wall(max(clock.now(), until))
    return RunReport(run, failed)

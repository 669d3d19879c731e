"""What operators see of jobs that were given up."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from controlplane.cli.buckler_server import app
from controlplane.config import DataDir, read_config
from controlplane.installation import initialise
from controlplane.runtime.jobs.board import lag
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY

NOW = SOME_MONDAY + timedelta(minutes=30)
PARKED = {
    "org_id": "org_1",
    "kind": "notices.deliver",
    "subject": "ntc_1",
    "due_at": SOME_MONDAY,
    "attempts": 10,
    "parked_at": SOME_MONDAY,
    "last_error": "MAIL_AWAY",
    "last_error_sentence": "the mail server is away",
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An installation with one parked job."""

    async def make() -> None:
        place = DataDir(tmp_path / "data")
        await initialise(place, hostnames=[], database_url=None, first_customer=None, randomness=SystemRandomness())
        database = Database(read_config(place.path, {}).database_url)
        async with database.transaction() as uow:
            await uow.connection.execute(insert(jobs).values(**PARKED))
        await database.close()

    asyncio.run(make())
    return tmp_path / "data"


def run(data_dir: Path, *arguments: str, status: int = 0) -> Any:
    ran = CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir), "--output", "json"])
    assert ran.exit_code == status, ran.output
    return json.loads(ran.output)


def test_a_parked_job_is_told_by_the_doctor_listed_with_its_reason_and_woken(data_dir: Path) -> None:
    finding = next(each for each in run(data_dir, "doctor", status=1)["checks"] if each["check"] == "jobs")
    assert (finding["code"], "1 × notices.deliver (MAIL_AWAY)" in finding["detail"]) == ("JOBS_PARKED", True)
    [listed] = run(data_dir, "jobs", "list", "--state", "parked")["jobs"]
    assert (listed["job"], listed["attempts"]) == ("org_1/notices.deliver/ntc_1", 10)
    assert (listed["error"], listed["sentence"]) == ("MAIL_AWAY", "the mail server is away")
    assert run(data_dir, "jobs", "retry", listed["job"]) == {"retried": [listed["job"]]}
    assert run(data_dir, "jobs", "list", "--state", "parked")["jobs"] == []
    assert [each["state"] for each in run(data_dir, "jobs", "list", "--kind", "notices.deliver")["jobs"]] == ["due"]


def test_a_job_that_is_not_there_is_not_woken(data_dir: Path) -> None:
    for arguments, code in (
        ([], "JOBS_NOT_NAMED"),
        (["a/b/c", "--all"], "JOBS_NOT_NAMED"),
        (["nonsense"], "JOB_ID_INVALID"),
        (["org_1/notices.deliver/none"], "JOB_NOT_FOUND"),
    ):
        assert run(data_dir, "jobs", "retry", *arguments, status=2)["error"]["code"] == code


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        ({}, 30),
        ({"claimed_until": NOW + timedelta(minutes=5)}, 0),
        ({"claimed_until": NOW - timedelta(minutes=2)}, 2),
        ({"claimed_until": NOW + timedelta(minutes=5), "claimed_by": "server-1"}, 30),
        ({"parked_at": SOME_MONDAY}, 0),
        ({"due_at": NOW + timedelta(minutes=1)}, 0),
    ],
    ids=["due", "resting", "rested", "running", "parked", "later"],
)
async def test_only_what_is_due_now_lags(database: Database, given: dict[str, Any], minutes: int) -> None:
    job = {"org_id": "org_1", "kind": "notices.deliver", "subject": "ntc_1", "due_at": SOME_MONDAY, **given}
    async with database.transaction() as uow:
        await uow.connection.execute(insert(jobs).values(**job))
        assert await lag(uow.connection, NOW, NOW) == timedelta(minutes=minutes)

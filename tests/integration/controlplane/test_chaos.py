"""The chaos run, small: two servers, PostgreSQL and NATS; the full one is `python -m benchmarks.chaos`."""

import shutil
from pathlib import Path

import pytest

from benchmarks.simulator.expectation import missed
from benchmarks.simulator.machinery import running_nats, running_postgres
from benchmarks.simulator.turmoil import Turmoil, expected, play

SMALL = Turmoil(
    devices=20,
    commands=60,
    detections=300,
    copies=1,
    seconds=10,
    kill_every=1.5,
    restarts=1,
    check_in=3,
    settle=330,
    seed=1,
)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_done_twice_while_servers_die(tmp_path: Path) -> None:
    if shutil.which("nats-server") is None:
        pytest.skip("nats-server is not installed (Debian: apt install nats-server)")
    with running_postgres() as postgres, running_nats() as nats:
        found = await play(SMALL, tmp_path, postgres, nats, None)
    assert missed(expected(SMALL), found) == [], found

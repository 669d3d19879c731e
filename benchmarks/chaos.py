"""`python -m benchmarks.chaos`: two servers on one PostgreSQL and one NATS, killed and restarted while a fleet works.

A replica is killed every few seconds and started again, database and bus are restarted twice each, devices have bad
lines. Afterwards everything is counted: each command in exactly one final state and run exactly once, each detection
stored exactly once, counters equal to a recount, nothing shown to a device but absences and refusals. Ends with 1 when
something is missed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.simulator.expectation import lines, missed
from benchmarks.simulator.machinery import orderly, running_nats, running_postgres
from benchmarks.simulator.turmoil import Turmoil, expected, play


def main() -> int:
    """Play it and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description="A fleet, while servers die.")
    parser.add_argument("--devices", type=int, default=2_000, metavar="N")
    parser.add_argument("--commands", type=int, default=10_000, metavar="N", help="half of them in campaigns")
    parser.add_argument("--detections", type=int, default=50_000, metavar="N")
    parser.add_argument("--copies", type=int, default=5, metavar="N", help="machines that are copied with their key")
    parser.add_argument("--seconds", type=float, default=240, metavar="S", help="over which the work is spread")
    parser.add_argument(
        "--kill-every", type=float, default=10, metavar="S", help="seconds of the servers' processor time between kills"
    )
    parser.add_argument("--restarts", type=int, default=2, metavar="N", help="of the database, and of the bus")
    parser.add_argument("--check-in", type=float, default=30, metavar="S", help="seconds between check-ins")
    parser.add_argument("--settle", type=float, default=900, metavar="S", help="at most, for what is left afterwards")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of every random choice")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the logs of the servers are left")
    arguments = vars(parser.parse_args())
    kept: Path | None = arguments.pop("keep")
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    turmoil = Turmoil(**arguments)
    print(f"seed {turmoil.seed}, load {os.getloadavg()[0]:.1f}, {turmoil}", flush=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="buckler-chaos-") as scratch,
        running_postgres() as postgres,
        running_nats() as nats,
    ):
        found = asyncio.run(orderly(play(turmoil, Path(scratch), postgres, nats, kept)))
    print(f"\nchaos ({time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f})")
    print("\n".join(lines(expected(turmoil), found)), flush=True)
    return bool(missed(expected(turmoil), found))


if __name__ == "__main__":
    sys.exit(main())

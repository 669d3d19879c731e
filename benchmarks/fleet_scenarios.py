"""`python -m benchmarks.fleet_scenarios`: what happens to fleets, played over the real protocol with mutual TLS.

Each scenario has a server of its own on a fresh database, and an expected block; ends with 1 when a line of one is
missed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from benchmarks.simulator.expectation import lines, missed
from benchmarks.simulator.machinery import orderly, running_postgres
from benchmarks.simulator.scenario import Scenario
from benchmarks.simulator.scenarios import commands, contact, detections, identities
from benchmarks.simulator.stage import Options

SCENARIOS = {
    scenario.name: scenario for room in (contact, commands, identities, detections) for scenario in room.SCENARIOS
}


def main() -> int:
    """Play the scenarios that were asked for."""
    about = "\n".join(f"  {scenario.name:15} {scenario.about}" for scenario in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet_scenarios",
        description=f"What happens to fleets:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=[[], *SCENARIOS], metavar="NAME", help="by default all of them")
    parser.add_argument("--devices", type=int, default=300, metavar="N", help="in each scenario")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of every random choice")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    wanted = [SCENARIOS[name] for name in arguments.names or SCENARIOS]
    on_postgres = arguments.database == "postgresql"
    with (
        tempfile.TemporaryDirectory(prefix="buckler-fleet-") as scratch,
        running_postgres() if on_postgres else nullcontext() as postgres,
    ):
        return play(wanted, Options(arguments.devices, arguments.seed, Path(scratch), postgres))


def play(wanted: Sequence[Scenario], options: Options) -> int:
    """Play them one after the other; 1 if something was missed."""
    print(f"seed {options.seed}, {options.devices} devices, load {os.getloadavg()[0]:.1f}", flush=True)
    worst = 0
    for scenario in wanted:
        if scenario.needs_postgres and options.postgres is None:
            print(f"\n{scenario.name}: left out, needs --database postgresql")
            continue
        began = time.monotonic()
        found = asyncio.run(orderly(scenario.play(options)))
        expected = scenario.expected(options.devices)
        print(f"\n{scenario.name}: {scenario.about} ({time.monotonic() - began:.0f} s)")
        print("\n".join(lines(expected, found)), flush=True)
        worst = max(worst, bool(missed(expected, found)))
    return worst


if __name__ == "__main__":
    sys.exit(main())

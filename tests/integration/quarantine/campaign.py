"""The whole campaign with its figures: `python -m tests.integration.quarantine.campaign [ROUNDS]`, as root.

What must hold is asserted in every round by the tests whose code this runs; the table says how the races ended.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import structlog

from tests.integration.quarantine.nursery import open_nursery
from tests.integration.quarantine.test_crashes import Campaign, survive_random_kills
from tests.integration.quarantine.test_pipeline_races import ATTACKS, withstand
from tests.integration.quarantine.test_races import ATTACK_NAMES, race

ROUNDS = 1_000


def tell(what: str, outcome: Mapping[str, int]) -> None:
    counts = ", ".join(f"{name} {count}" for name, count in sorted(outcome.items()))
    sys.stdout.write(f"{what:<32} {counts}\n")
    sys.stdout.flush()


def main(rounds: int) -> None:
    """Race the vault, then the whole way to it, then pull the plug."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    for attack in ATTACK_NAMES:
        with tempfile.TemporaryDirectory() as root:
            tell(f"vault, {attack}", asyncio.run(race(Path(root), attack, rounds)))
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as root:
            ends = asyncio.run(withstand(Path(root), attack, rounds))
            tell(f"event to vault, {attack}", {state.value: count for state, count in ends.items()})
    with open_nursery() as nursery, tempfile.TemporaryDirectory() as root:
        killed = survive_random_kills(Campaign(Path(root), nursery), rounds, seed=2)
        tell("kill -9 at random", {"rounds": rounds, "killed before the end": killed})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)

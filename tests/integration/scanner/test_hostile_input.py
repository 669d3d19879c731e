"""Thousands of hostile files through the real service: each gets its verdict, and nobody else pays for it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.scanner.limits import MIB, Limits
from tests.fakes.eicar import EICAR
from tests.fakes.hostile.case import CANARY, Case, Expected
from tests.fakes.hostile.corpus import hostile_cases
from tests.fakes.hostile.damage import is_explained
from tests.fakes.hostile.samples import SAMPLES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SEED = 20261125
#: Small, so that a bomb is over soon; the full campaign has the defaults.
SMALL = Limits(max_file_size=32 * MIB, max_expanded_size=64 * MIB, max_members=5_000, timeout_s=30.0)
#: Two lists of answers of 4 MiB each may be on their way, and Python keeps some of what it freed.
MOST_GROWTH_KIB = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """The cases, what the campaign reports, and files that should not be there."""

    cases: dict[str, Case]
    report: dict[str, Any]
    strays: list[str]

    def verdict(self, name: str) -> str:
        return str(self.report["verdicts"][name][0])

    def broken(self) -> list[str]:
        """Cases whose verdict is not what it must be."""
        return [
            f"{case.name}: {self.report['verdicts'][case.name]}" for case in self.cases.values() if self._breaks(case)
        ]

    def _breaks(self, case: Case) -> bool:
        verdict = self.verdict(case.name)
        if verdict not in {"infected", "incomplete", "clean"}:
            return True
        match case.expected:
            case Expected.INFECTED:
                return verdict != "infected"
            case Expected.NOT_CLEAN:
                return verdict == "clean"
            case Expected.EXPLAINED if verdict == "clean":
                sample = case.name.split(".")[1]
                return not is_explained(sample, SAMPLES[sample](EICAR), case.data)
        return False


def campaign(folder: Path, *, bent_per_sample: int, heavy: bool, limits: Limits) -> Outcome:
    """Write the corpus, scan it in a process that stands in empty folders, look at what is there afterwards."""
    hostile, known, canary = folder / "hostile", folder / "known", folder / "canary"
    for each in (hostile, known, canary):
        each.mkdir()
    cases: dict[str, Case] = {}
    for case in hostile_cases(SEED, bent_per_sample, heavy=heavy):
        path = hostile / case.name
        path.write_bytes(case.data)
        if case.sparse_size is not None:
            os.truncate(path, case.sparse_size)
        cases[case.name] = case if case.expected is Expected.EXPLAINED else Case(case.name, b"", case.expected)
    command = [
        sys.executable,
        "-m",
        "tests.integration.scanner.hostile_campaign",
        str(hostile),
        str(known),
        json.dumps(asdict(limits)),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "TMPDIR": str(canary), "HOME": str(canary)}
    done = subprocess.run(command, capture_output=True, cwd=canary, env=environment, check=True)
    return Outcome(cases, json.loads(done.stdout), sorted(strays(canary)))


def strays(canary: Path) -> Iterator[str]:
    """What was written: into the campaign's own folder, or under a name that hostile archives asked for."""
    yield from (str(path) for path in canary.rglob("*"))
    for folder in (Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/etc"), Path.home(), Path.cwd(), Path.cwd().parent):
        yield from (str(path) for path in folder.iterdir() if CANARY in path.name)


@pytest.fixture(scope="module")
def sample() -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        yield campaign(Path(folder), bent_per_sample=2, heavy=False, limits=SMALL)


def check(outcome: Outcome) -> None:
    assert outcome.report["verdicts"].keys() == outcome.cases.keys()
    assert outcome.broken() == []
    assert outcome.report["known_wrong"] == []
    assert outcome.strays == []
    before, after = outcome.report["descriptors"]
    # A worker that was being replaced at the end may still be starting.
    assert abs(after - before) <= 4
    warm, highest = outcome.report["kib"]
    assert highest - warm < MOST_GROWTH_KIB


@pytest.mark.timeout(300)
def test_a_sample_of_hostile_input(sample: Outcome) -> None:
    check(sample)
    assert len(sample.cases) > 400


@pytest.mark.timeout(300)
def test_a_sparse_terabyte_is_not_read(sample: Outcome) -> None:
    assert sample.report["verdicts"]["sparse.file.0"] == ["incomplete", ["max_file_size"]]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_hostile_inputs(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, bent_per_sample=80, heavy=True, limits=Limits())
    assert len(outcome.cases) >= 10_000
    print(summary(outcome))  # noqa: T201 -- the figures of docs/benchmarks.md
    check(outcome)


def summary(outcome: Outcome) -> str:
    """The figures of a run."""
    verdicts = [outcome.verdict(name) for name in outcome.cases]
    reasons: dict[str, int] = {}
    costly: list[str] = []
    for name, (_verdict, why) in outcome.report["verdicts"].items():
        costly += [f"{name}: {reason}" for reason in why if reason == "timeout" or reason.startswith("worker_")]
        for reason in why:
            reasons[reason] = reasons.get(reason, 0) + 1
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    rest = {key: value for key, value in outcome.report.items() if key != "verdicts"}
    return json.dumps(
        {"inputs": len(verdicts), "verdicts": counts, "reasons": reasons, "costly": costly, **rest}, indent=1
    )

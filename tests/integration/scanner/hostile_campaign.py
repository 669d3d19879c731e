"""Scans a folder of hostile files like an agent would and watches itself; a JSON report on stdout.

A process of its own, so that what is measured is the parent of the workers and nothing else. Between the hostile files
two whose verdicts are known, one clean and one infected, are scanned again and again: no death may change those.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agent.domain.facts import ScanFacts
from agent.platform.clock import SystemClock
from agent.scanner.limits import Limits
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from tests.fakes.eicar import EICAR
from tests.integration.scanning import running_scanner, scan_path

#: Files on their way at the same time: more than there are workers, so that some wait.
_AT_ONCE = 6
#: After so many files everything lazy has been loaded and memory is measured for the first time.
_WARM_UP = 200
#: Seconds beyond the time of one file after which it is not late but lost.
_PATIENCE_S = 300.0


@dataclass(slots=True)
class CampaignReport:
    """What happened.

    Attributes:
        verdicts: By file name: `infected`, `incomplete`, `error` or `clean`, and the reasons or the error.
        known_wrong: Verdicts of the two known files that were not as they must be.
        workers_seen: Process ids of workers over the whole run.
        kib: Resident memory after the warm-up and at its highest, in KiB.
        descriptors: Open before and after.
        elapsed_s: Wall time.
        slowest: Names and milliseconds of the slowest files.
    """

    verdicts: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    known_wrong: list[str] = field(default_factory=list)
    workers_seen: int = 0
    kib: tuple[int, int] = (0, 0)
    descriptors: tuple[int, int] = (0, 0)
    elapsed_s: float = 0.0
    slowest: list[tuple[str, float]] = field(default_factory=list)


class Campaign:
    """One run.

    Args:
        service: Running.
        folder: Of the hostile files; not changed.
        known: A clean and an infected file.
        patience_s: Seconds after which a file has no verdict.
    """

    def __init__(self, service: ScannerService, folder: Path, known: tuple[Path, Path], patience_s: float) -> None:
        self._service = service
        self._waiting = sorted(folder.iterdir(), reverse=True)
        self._known = known
        self._patience_s = patience_s
        self._pids: set[int] = set()
        self._times: list[tuple[str, float]] = []
        self.report = CampaignReport()

    async def run(self) -> CampaignReport:
        """Scan everything.

        Raises:
            TimeoutError: A file got no verdict.
        """
        before = _open_descriptors()
        begun = SystemClock().monotonic_ns()
        async with asyncio.TaskGroup() as lanes:
            for _ in range(_AT_ONCE):
                lanes.create_task(self._lane())
        self.report.elapsed_s = (SystemClock().monotonic_ns() - begun) / 1e9
        self.report.descriptors = (before, _open_descriptors())
        self.report.kib = (self.report.kib[0] or _resident_kib("VmRSS"), _resident_kib("VmHWM"))
        self.report.workers_seen = len(self._pids)
        self.report.slowest = sorted(self._times, key=lambda entry: -entry[1])[:10]
        return self.report

    async def _lane(self) -> None:
        while self._waiting:
            path = self._waiting.pop()
            facts = await self._scan(path)
            self.report.verdicts[path.name] = (_verdict(facts), _reasons(facts))
            self._times.append((path.name, facts.elapsed_ms))
            if len(self.report.verdicts) == _WARM_UP:
                self.report.kib = (_resident_kib("VmRSS"), 0)
            for known, expected in zip(self._known, ("clean", "infected"), strict=True):
                facts = await self._scan(known)
                if _verdict(facts) != expected:
                    self.report.known_wrong.append(f"{known.name} beside {path.name}: {_reasons(facts)}")

    async def _scan(self, path: Path) -> ScanFacts:
        async with asyncio.timeout(self._patience_s):
            facts = await scan_path(self._service, path)
        self._pids |= self._service.worker_pids()
        return facts


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _verdict(facts: ScanFacts) -> str:
    if facts.error:
        return "error"
    if any(finding.severity.is_malicious for finding in facts.findings):
        return "infected"
    return "incomplete" if facts.incomplete else "clean"


def _reasons(facts: ScanFacts) -> list[str]:
    return [facts.error] if facts.error else sorted({item.reason for item in facts.incomplete})


def _resident_kib(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


async def _main(folder: Path, known: Path, limits: Limits) -> CampaignReport:
    (known / "clean").write_bytes(b"nothing to see here")
    (known / "infected").write_bytes(EICAR)
    settings = ScannerSettings(workers=2, limits=limits)
    async with running_scanner(settings) as service:
        patience = limits.timeout_s + _PATIENCE_S
        return await Campaign(service, folder, (known / "clean", known / "infected"), patience).run()


if __name__ == "__main__":
    folder, known, limits = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(_main(Path(folder), Path(known), Limits(**json.loads(limits)))))))  # noqa: T201

"""A scanner that is started and closed, as scheduled scans have one of their own."""

from agent.domain.errors import BucklerError, ExitStatus
from tests.fakes.scanner import FakeScanner


class FakeOwnScanner(FakeScanner):
    """Implements `agent.scanner.scheduled.scans.OwnScanner`; can refuse to start."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 0
        self.closed = 0
        self.refuses = False

    async def start(self) -> None:
        if self.refuses:
            raise BucklerError(
                "SCANNER_UNAVAILABLE", "no worker starts", next_step="wait", exit_status=ExitStatus.ENVIRONMENT
            )
        self.started += 1

    async def close(self) -> None:
        self.closed += 1

    def process_ids(self) -> frozenset[int]:
        return frozenset()

    def work_under_way(self) -> dict[int, str]:
        return {}

    def restart_worker(self, pid: int, reason: str) -> bool:
        del pid, reason
        return False

"""A scanner that reads the file for real and knows one signature."""

import asyncio
import hashlib
import os

from agent.domain.facts import Finding, ScanFacts, Severity
from tests.fakes.eicar import EICAR


class FakeScanner:
    """Finds EICAR anywhere in a file; can be made slow, held, or broken; implements `Scanner`."""

    def __init__(self) -> None:
        self.scanned: list[str] = []
        self.running = 0
        self.most_running = 0
        self.failure: Exception | None = None
        self.blind = False
        self.elapsed_ms = 0.0
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> None:
        """From now on scans do not come back."""
        self._gate.clear()

    def release(self) -> None:
        """Let them come back."""
        self._gate.set()

    async def scan(self, descriptor: int, path: str) -> ScanFacts:
        self.scanned.append(path)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            content = os.pread(descriptor, 1 << 20, 0)
            await asyncio.sleep(0)
            await self._gate.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.running -= 1
        found = (Finding("EICAR_Test_File", "builtin", Severity.HIGH),) if EICAR in content and not self.blind else ()
        return ScanFacts(
            hashlib.sha256(content).hexdigest(),
            len(content),
            found,
            engine="fake 1",
            signatures_version="1",
            elapsed_ms=self.elapsed_ms,
        )

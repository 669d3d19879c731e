"""A real scanner service on the built-in rules, for a test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.domain.facts import ScanFacts
from agent.platform.clock import SystemClock
from agent.scanner.settings import ScannerSettings
from agent.scanner.workers.service import ScannerService
from tests.integration.compiled_rules import builtin_pack


@asynccontextmanager
async def running_scanner(settings: ScannerSettings | None = None) -> AsyncIterator[ScannerService]:
    """Started, and closed whatever happens."""
    pack = builtin_pack()
    service = ScannerService(settings or ScannerSettings(workers=1), pack, SystemClock())
    try:
        await service.start()
        yield service
    finally:
        await service.close()
        pack.close()


async def scan_path(service: ScannerService, path: Path) -> ScanFacts:
    """Open, scan, close."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return await service.scan(descriptor, str(path))
    finally:
        os.close(descriptor)

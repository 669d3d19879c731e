"""A real scanner service on the built-in rules, for a test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from agent.domain.facts import ScanFacts
from agent.platform.clock import SystemClock
from agent.scanner.rule_files import builtin_signatures
from agent.scanner.rulepack import CompiledPack, compile_pack, load_rules
from agent.scanner.service import ScannerService
from agent.scanner.settings import ScannerSettings


@cache
def _compiled_once() -> CompiledPack:
    return compile_pack(load_rules([builtin_signatures()]))


def builtin_pack() -> CompiledPack:
    """The built-in rules, compiled once a process, since that takes seconds; the caller closes them."""
    # The image is sealed and read by position, so copies of its descriptor do not meet.
    pack = _compiled_once()
    return replace(pack, image=os.dup(pack.image))


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

"""The scan cache of this machine: opened with everything that answers depend on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.platform.clock import SystemClock
from agent.platform.mountinfo import Mount, mounts
from agent.platform.program import app_version
from agent.scanner.cache import ScanCache, open_scan_cache, untrusted_devices
from agent.scanner.cache_key import ScanIdentity
from agent.scanner.limits import Limits
from agent.scanner.packs.deferred_pack import Pack


@contextmanager
def scan_cache(path: Path, pack: Pack, limits: Limits) -> Iterator[ScanCache | None]:
    """What earlier scans with a pack and limits found clean; the data folder must be there.

    None: there can be no cache, or another scan has it; a scan does without.
    """
    identity = ScanIdentity(
        program=app_version(),
        pack=pack.version,
        engine=pack.engine,
        engine_version=pack.engine_version,
        limits=limits,
    )
    cache = open_scan_cache(path, identity, SystemClock(), mounts=_mounts)
    try:
        yield cache
    finally:
        if cache is not None:
            cache.close()


def untrusted_here() -> frozenset[int]:
    """`st_dev` of what is mounted here and whose change times prove nothing."""
    return untrusted_devices(_mounts())


def _mounts() -> tuple[Mount, ...]:
    return mounts() if sys.platform == "linux" else ()

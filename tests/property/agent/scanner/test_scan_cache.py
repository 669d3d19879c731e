"""The cache against reality: whatever happens to files, what it recalls is what a fresh scan would find."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.platform.files.regular_files import identity_of
from agent.scanner.cache import ScanCache, open_scan_cache
from agent.scanner.cache_key import ScanIdentity
from agent.scanner.limits import Limits
from tests.fakes.clock import FakeClock
from tests.fakes.eicar import EICAR
from tests.fakes.scanner import FakeScanner

_NAMES = ("a", "b", "c")
#: Same lengths, so that size alone gives nothing away.
_CONTENTS = (EICAR, b"x" * len(EICAR), b"y" * len(EICAR), b"")
_LATE = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))
_SCAN = ScanIdentity("1", "1", "fake", "1", Limits())
_STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(_NAMES), st.sampled_from(_CONTENTS)),
    st.tuples(st.just("write_back_dated"), st.sampled_from(_NAMES), st.sampled_from(_CONTENTS)),
    st.tuples(st.just("recreate"), st.sampled_from(_NAMES), st.sampled_from(_CONTENTS)),
    st.tuples(st.just("rename_over"), st.sampled_from(_NAMES), st.sampled_from(_NAMES)),
    st.tuples(st.just("link"), st.sampled_from(_NAMES), st.sampled_from(_NAMES)),
    st.tuples(st.just("truncate"), st.sampled_from(_NAMES), st.sampled_from(_CONTENTS)),
    st.tuples(st.just("scan"), st.sampled_from(_NAMES), st.just(b"")),
    st.tuples(st.just("scan_while_it_changes"), st.sampled_from(_NAMES), st.sampled_from(_CONTENTS)),
    st.tuples(st.just("restart"), st.just(""), st.just(b"")),
)


class _World:
    """A folder, a scanner, a cache of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scanner = FakeScanner()
        self.cache = self._open()

    def _open(self) -> ScanCache:
        cache = open_scan_cache(self.folder / "scan-cache.db", _SCAN, _LATE)
        assert cache is not None
        return cache

    async def do(self, step: tuple[str, str, str | bytes]) -> None:
        action, name, value = step
        path = self.folder / name
        if action == "restart":
            self.cache.close()
            self.cache = self._open()
        elif isinstance(value, str):
            self._rename_or_link(action, path, self.folder / value)
        elif action in {"scan", "scan_while_it_changes"}:
            if path.exists():
                await self._scan(path, value if action == "scan_while_it_changes" else None)
        else:
            self._change(action, path, value)

    def _change(self, action: str, path: Path, content: bytes) -> None:
        before = path.stat() if path.exists() else None
        _settle(path)
        if action == "recreate":
            path.unlink(missing_ok=True)
        if action == "truncate" and before is not None:
            os.truncate(path, len(content) // 2)
        else:
            path.write_bytes(content)
        if before is not None and action == "write_back_dated":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _rename_or_link(self, action: str, path: Path, other: Path) -> None:
        if not path.exists() or path.name == other.name:
            return
        if action == "rename_over":
            path.rename(other)
        elif not other.exists():
            other.hardlink_to(path)

    async def _scan(self, path: Path, meanwhile: bytes | None) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            before = identity_of(os.fstat(descriptor))
            moment = self.cache.moment()
            facts = await self.scanner.scan(descriptor, str(path))
            if meanwhile is not None:
                _settle(path)
                path.write_bytes(meanwhile)  # noqa: ASYNC240 -- the loop has nothing else to do
            self.cache.remember(str(path), descriptor, before, facts, moment)
        finally:
            os.close(descriptor)

    async def wrongly_recalled(self) -> list[str]:
        wrong: list[str] = []
        for name in _NAMES:
            path = self.folder / name
            folder = self.cache.folder(str(self.folder))
            if folder and path.exists() and (known := folder.recall(name, path.lstat())) is not None:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    if (
                        known.hex() != (facts := await self.scanner.scan(descriptor, str(path))).sha256
                        or facts.findings
                    ):
                        wrong.append(name)
                finally:
                    os.close(descriptor)
        return wrong


def _settle(path: Path) -> None:
    """Wait until the kernel's clock has left the file's change time: the two seconds of the real rule, in miniature."""
    if not path.exists():
        return
    probe = path.with_name("tick")
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > path.stat().st_ctime_ns:
            return


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_STEPS, max_size=25))
async def test_what_is_recalled_is_what_a_scan_would_find(steps: list[tuple[str, str, str | bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder))
        try:
            for step in steps:
                await world.do(step)
                assert await world.wrongly_recalled() == []
        finally:
            world.cache.close()

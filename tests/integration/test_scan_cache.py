"""The cache as `buckler scan` uses it, and after the worst end a process can have."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agent.cli.scan.command import scan_command
from agent.cli.scan.wiring import scan_wiring
from agent.scanner.cache import open_scan_cache
from agent.scanner.cache_key import ScanIdentity
from agent.scanner.limits import Limits
from tests.fakes.clock import FakeClock
from tests.fakes.eicar import EICAR
from tests.integration.compiled_rules import device_folder

_WRITER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.domain.facts import ScanFacts
from agent.platform.files.regular_files import identity_of
from agent.scanner.cache import open_scan_cache
from agent.scanner.cache_key import ScanIdentity
from agent.scanner.limits import Limits
from tests.fakes.clock import FakeClock
place, name = Path(sys.argv[1]), sys.argv[2]
scan = ScanIdentity("1", "1", "yara", "4", Limits())
cache = open_scan_cache(place, scan, FakeClock(datetime(2090, 1, 1, tzinfo=UTC)))
file = os.open(name, os.O_RDONLY)
identity = identity_of(os.fstat(file))
for number in range(10**9):
    cache.remember(f"{name}{number}", file, identity, ScanFacts("ab" * 32, identity.size_bytes), cache.moment())
    if number == 20_000:
        print("writing", flush=True)
"""


def scan(*arguments: str | Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    app = typer.Typer()
    app.command()(scan_command(scan_wiring()))
    result = CliRunner().invoke(app, [*map(str, arguments), "--output", "json", "--verbose"])
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return {Path(r["path"]).name: r for r in records if r["type"] == "file"}, records[-1]


def test_a_second_scan_knows_old_clean_files_and_looks_at_threats_again(tmp_path: Path) -> None:
    old = Path(json.__file__).parent
    bad = tmp_path / "e.com"
    bad.write_bytes(EICAR)
    place = ("--data-dir", device_folder(tmp_path / "data"))
    first, summary = scan(old, bad, *place)
    assert summary["cached"] == 0
    again, summary = scan(old, bad, *place)
    assert summary["cached"] == summary["clean"] == len(first) - 1 > 0
    assert again["e.com"]["cached"] is False
    assert again["e.com"]["verdict"] == "infected"
    for name, record in again.items():
        assert (record["sha256"], record["size"], record["verdict"]) == tuple(
            first[name][field] for field in ("sha256", "size", "verdict")
        )
    _, summary = scan(old, bad, *place, "--max-depth", "3")
    assert summary["cached"] == 0


_LOADED = """
import sys
from agent.cli.main import run_command
status = run_command(sys.argv[1:])
print(*sys.modules)
sys.exit(status)
"""


def test_a_scan_of_known_files_loads_no_more_than_that_takes(tmp_path: Path) -> None:
    place = device_folder(tmp_path / "data")
    flags = ("--jobs", "2", "--timeout", "9.5", "--output", "text")
    order = (sys.executable, "-c", _LOADED, "scan", json.__file__, "--data-dir", place, *flags)
    subprocess.run(order, capture_output=True, check=True)
    said = subprocess.run(order, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "cached : 1" in said
    loaded = set(said[-1].split())
    assert "agent.scanner.cache" in loaded
    libraries = {"asyncio", "pydantic", "pydantic_settings", "psutil", "grpc", "rich", "structlog", "zipfile"}
    assert not loaded & (libraries | {"agent.config", "agent.scanner.workers.service", "agent.scanner.packs.rulepack"})


def test_no_cache_neither_reads_nor_writes_one(tmp_path: Path) -> None:
    old, place = Path(json.__file__).parent, ("--data-dir", device_folder(tmp_path / "data"))
    scan(old, *place, "--no-cache")
    assert not (tmp_path / "data" / "scan-cache.db").exists()
    scan(old, *place)
    _, summary = scan(old, *place, "--no-cache")
    assert summary["cached"] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    _, summary = scan(Path(json.__file__), "--data-dir", tmp_path / "data")
    assert summary["clean"] == 1


def test_a_writer_that_is_killed_leaves_a_file_that_opens(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o711)
    place, file = folder / "scan-cache.db", tmp_path / "file"
    file.write_text("x")
    scan_identity = ScanIdentity("1", "1", "yara", "4", Limits())
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", _WRITER, place, file], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            writer.send_signal(signal.SIGKILL)
        cache = open_scan_cache(place, scan_identity, FakeClock(datetime(2090, 1, 1, tzinfo=UTC)))
        assert cache is not None
        assert cache.flushed == ()
        known = cache.folder(str(tmp_path))
        assert known is not None
        assert known.recall("file0", file.lstat()) is not None
        cache.close()

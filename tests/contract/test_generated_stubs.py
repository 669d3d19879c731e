"""The committed stubs are what `make proto` makes of the protocol today."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "wire" / "v1"
STUB_PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def _stubs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for pattern in STUB_PATTERNS for path in folder.glob(pattern)}


@pytest.fixture
def regenerated(tmp_path: Path) -> dict[str, bytes]:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    # The environment that runs this test has the generator; `make` would otherwise look for one of its own.
    binaries = f"BIN={Path(sys.executable).parent}"
    marker = tmp_path / "installed"
    marker.touch()
    command = [make, "--silent", "proto", f"WIRE_OUT={tmp_path}", binaries, f"INSTALLED={marker}"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return _stubs(tmp_path / "wire" / "v1")


def test_regenerating_the_stubs_gives_the_committed_bytes(regenerated: dict[str, bytes]) -> None:
    committed = _stubs(COMMITTED)
    assert regenerated.keys() == committed.keys()
    assert [name for name in sorted(committed) if committed[name] != regenerated[name]] == []


def test_every_protocol_file_has_its_stubs() -> None:
    protocols = {path.stem for path in (ROOT / "proto" / "wire" / "v1").glob("*.proto")}
    assert {name.removesuffix("_pb2.py") for name in _stubs(COMMITTED) if name.endswith("_pb2.py")} == protocols

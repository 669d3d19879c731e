"""Real bundles of this machine: whatever state the agent is in, one comes out, and nothing planted is in it."""

import json
from pathlib import Path

import pytest

from agent.cli.diagnostics_wiring import make_bundle
from agent.cli.invocation import Common
from agent.storage.database import open_database
from agent.support.diagnostics.bundle import bundle_bytes
from agent.support.redaction import RedactionPolicy
from controlplane.diagnostics.analysis import likely_causes
from controlplane.diagnostics.reading import read_bundle

KEY_LINE = "MC4CAQAwBQYDK2VwBCIEIJ1zq7Zl0vY5c8Qb2mXw"
SECRET = "tr0ub4dor-and-3-more"
CANARIES = (KEY_LINE, SECRET, "canaryann", "/home/canaryann")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with something private in every file that is read."""
    folder = tmp_path / "data"
    (folder / "crash-reports").mkdir(parents=True)
    (folder / "device.key").write_text(f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----\n")
    trace = f"KeyError: '/home/canaryann/tax.pdf' token={SECRET} {KEY_LINE} by canaryann"
    (folder / "crash-reports" / "1.txt").write_text(trace)
    (folder / "canaryann.txt").touch()
    monkeypatch.setenv("SOME_SERVICE_TOKEN", SECRET)
    monkeypatch.setenv("LOGNAME", "canaryann")
    return folder


def private_in(content: str) -> list[str]:
    return [canary for canary in CANARIES if canary in content]


def test_a_bundle_of_a_device_whose_agent_does_not_run(data_dir: Path) -> None:
    open_database(data_dir / "agent.db").close()
    bundle = make_bundle(Common(None, data_dir, None), RedactionPolicy())
    items = {item.name: item for item in bundle.items}
    assert private_in("".join(item.text + item.error for item in bundle.items)) == []
    assert "[home-" in items["crash-reports.txt"].text
    assert items["scan-costs-hour.json"].status.value == "unavailable"
    assert json.loads(items["database.json"].text)["damage"] == []
    told = json.loads(items["expected.json"].text)
    assert {"what": "an agent answers", "expected": True, "actual": False, "as_expected": False} in told
    assert len(bundle_bytes(bundle)) < 100_000


def test_a_bundle_of_a_device_where_nothing_can_be_read(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[realtime]\nroots = ["home/canaryann"]\npassword = "tr0ub4dor-and-3-more"\n')
    (data_dir / "agent.db").write_bytes(b"no database of canaryann" * 100)
    bundle = make_bundle(Common(None, data_dir, config), RedactionPolicy(below_homes=True), doctor=dict)
    status = {item.name: (item.status.value, item.error.partition(":")[0]) for item in bundle.items}
    assert status["configuration.json"] == ("failed", "CONFIG_INVALID")
    assert status["database.json"] == ("failed", "DATABASE_DAMAGED")
    assert status["doctor.json"] == ("collected", "")
    assert status["versions.json"] == ("collected", "")
    assert private_in("".join(item.text + item.error for item in bundle.items)) == []
    causes = [cause.code for cause in likely_causes(read_bundle(bundle_bytes(bundle)))]
    assert causes[:2] == ["CONFIG_INVALID", "DATABASE_DAMAGED"]
    assert {"AGENT_NOT_RUNNING", "CRASHED"} <= set(causes)


def test_looking_changes_nothing(data_dir: Path) -> None:
    before = sorted(path.relative_to(data_dir) for path in data_dir.rglob("*"))
    make_bundle(Common(None, data_dir / "not-there", None), RedactionPolicy())
    assert sorted(path.relative_to(data_dir) for path in data_dir.rglob("*")) == before

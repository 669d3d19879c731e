"""What operators call to look after what is stored, in this process: `retention`, `detections`, `backup`, `restore`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from controlplane.cli.buckler_server import app
from controlplane.retention.rules import RULES


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    assert CliRunner().invoke(app, ["init", "--data-dir", str(folder)]).exit_code == 0
    return folder


def called(data_dir: Path, *arguments: str) -> Any:
    ran = CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir), "--output", "json"])
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_an_operator_sees_what_is_kept_and_backs_it_up(data_dir: Path, tmp_path: Path) -> None:
    with (data_dir / "server.toml").open("a", encoding="utf-8") as settings:
        settings.write('[retention]\ndetections = 30\naudit = "forever"\n')
    rules = {rule["rule"]: rule for rule in called(data_dir, "retention", "show")["rules"]}
    assert (rules["detections"]["days"], rules["audit"]["days"]) == (30, None)
    assert set(rules) == {rule.name for rule in RULES}
    would_go = called(data_dir, "retention", "run", "--dry-run")["would_go"]
    assert set(would_go.values()) == {0}
    assert sum(called(data_dir, "retention", "run")["deleted"].values()) == 0
    assert called(data_dir, "detections", "dead") == {"reports": []}
    missing = CliRunner().invoke(app, ["detections", "retry", "rep_1", "--data-dir", str(data_dir)])
    assert missing.exit_code == 2

    folder = tmp_path / "backup"
    assert called(data_dir, "backup", str(folder))["folder"] == str(folder)
    elsewhere = tmp_path / "elsewhere"
    assert called(elsewhere, "restore", str(folder))["data_dir"] == str(elsewhere)
    assert called(elsewhere, "retention", "show")["rules"][0]["days"] == 30
    shown = CliRunner().invoke(app, ["retention", "show", "--data-dir", str(elsewhere)])
    assert "for ever" in shown.stdout
    assert "none" in shown.stdout


def test_the_document_of_what_is_kept_says_what_the_rules_say() -> None:
    document = (Path(__file__).parents[3] / "docs" / "retention.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.name}` | `{rule.table}` | {rule.days} | {rule.least_days} | {rule.why} |" in document

"""What counts as a mistake when clean software is scanned, and what is measured."""

import json
from pathlib import Path

from agent.scanner.engines.port import RuleSource
from benchmarks.signatures import CleanTally, cost_of_each, small_texts


def test_only_findings_of_malicious_severity_are_mistakes() -> None:
    tally = CleanTally()
    finding = {"rule": "r", "namespace": "n/f", "severity": "high", "member": "inner"}
    tally.add(json.dumps({"type": "file", "path": "/a", "findings": [finding, {**finding, "severity": "low"}]}))
    tally.add(json.dumps({"type": "file", "path": "/b", "findings": [{**finding, "member": "", "severity": "medium"}]}))
    tally.add(json.dumps({"type": "summary", "files": 7, "incomplete": 1}))
    assert tally.mistakes == ["/a!inner: n/f.r", "/b: n/f.r"]
    assert (tally.files, tally.incomplete, dict(tally.findings)) == (7, 1, {"high": 1, "low": 1, "medium": 1})


def test_only_small_texts_are_measured(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.bin").write_bytes(b"\0text")
    (tmp_path / "c.txt").write_text("x" * 70_000)
    (tmp_path / "d.txt").write_text("")
    (tmp_path / "e.txt").symlink_to(tmp_path / "a.txt")
    assert small_texts([tmp_path]) == [tmp_path / "a.txt"]


def test_every_rule_is_measured_alone(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("text")
    source = RuleSource("n", "", "rule one { condition: true } rule two { condition: one }")
    assert {name for _, name in cost_of_each([source], [text])} == {"n.one", "n.two"}

"""Alerts speak of metrics and labels that the server has, and of commands and events that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from controlplane.devices.connections import Connections, StreamSettings
from controlplane.monitoring import Backlog, Monitor, ServerFigures
from controlplane.runtime.bus.memory import MemoryBus
from controlplane.storage.database import PoolUse
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.jobs import job_of_kind
from tests.fakes.randomness import SeededRandomness

ROOT = Path(__file__).parents[3]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus.rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]


async def registry() -> CollectorRegistry:
    """Of a server that has seen one of everything."""
    clock = FakeClock(SOME_MONDAY)
    figures = ServerFigures(
        Connections(StreamSettings(), clock, SeededRandomness()), MemoryBus(), lambda: PoolUse(in_use=1, idle=1)
    )

    async def backlog() -> Backlog:
        raise AssertionError

    monitor = Monitor(figures, backlog, clock)
    figures.backlog = Backlog(1.0, {"pending": 1})
    monitor.calls.ended("/m", "OK", 0.1)
    with monitor.jobs.around(job_of_kind("x")):
        pass
    monitor.jobs.parked(job_of_kind("x"))
    return monitor.registry


async def test_every_metric_and_label_is_one_of_the_server() -> None:
    samples = [sample for metric in (await registry()).collect() for sample in metric.samples]
    labels = {sample.name: set(sample.labels) for sample in samples}
    for rule in RULES:
        for name, chosen in re.findall(r"\b(buckler_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            assert name in labels, rule["alert"]
            assert {label for label, _ in re.findall(r"(\w+)=(\"\w+\")", chosen)} <= labels[name], rule["alert"]


async def test_everything_that_the_server_counts_is_told_in_the_documents() -> None:
    document = (ROOT / "docs/connection.md").read_text()
    ours = {metric.name for metric in (await registry()).collect() if metric.name.startswith("buckler_")}
    assert [name for name in sorted(ours) if name not in document] == []


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_an_alert_says_what_happened_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "next_step"}
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_no_two_have_the_same_name_and_commands_and_events_exist() -> None:
    assert len(set(NAMES)) == len(NAMES)
    sources = "\n".join(file.read_text() for file in (ROOT / "controlplane").rglob("*.py"))
    steps = " ".join(rule["annotations"]["next_step"] for rule in RULES)
    for event in re.findall(r"event (\w+)", steps):
        assert f'"{event}"' in sources
    from typer.main import get_command

    from controlplane.cli.buckler_server import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"buckler-server (\w+)", steps)) <= known

"""What should be so beside what is so."""

from agent.support.diagnostics.expected import Expectation, compare
from agent.support.redaction import Json

STATUS: dict[str, Json] = {
    "healthy": True, "real_time_protection_enabled": True, "licensed": True, "events_lost": 0, "outbox_set_aside": 0,
    "worker_restarts": 0, "part_restarts": [], "conflicting_applications": [], "last_contact_error": None,
    "real_time_protection_proven_at": "2026-03-02T09:00:00+00:00", "real_time_protection_mode": "notify",
    "watched_roots": ["/b", "/a"], "scan_workers": 2,
}  # fmt: skip
SETTINGS: dict[str, Json] = {"realtime.mode": "notify", "realtime.roots": ["/a", "/b"], "scanner.workers": 2}
SERVICE: dict[str, Json] = {"installed": True, "enabled": True, "running": True, "restarts": 0}


def wrong(lines: tuple[Expectation, ...]) -> list[str]:
    return [line.what for line in lines if line.as_expected is False]


def test_a_healthy_device_is_as_expected_in_every_line() -> None:
    lines = compare(SETTINGS, SERVICE, STATUS, agent_answers=True)
    assert {line.as_expected for line in lines} == {True}


def test_what_differs_is_named() -> None:
    status = STATUS | {"watched_roots": ["/a"], "events_lost": 3, "real_time_protection_proven_at": None}
    lines = compare(SETTINGS, SERVICE | {"restarts": 4}, status, agent_answers=True)
    assert wrong(lines) == [
        "times the supervisor started the service again", "events lost", "protection has been proven",
        "watched folders",
    ]  # fmt: skip


def test_a_mode_chosen_at_run_time_is_no_mistake() -> None:
    lines = compare(SETTINGS, SERVICE, STATUS | {"real_time_protection_mode": "block"}, agent_answers=True)
    assert wrong(lines) == []


def test_without_an_agent_what_cannot_be_known_is_not_judged() -> None:
    lines = compare(None, None, None, agent_answers=False)
    assert wrong(lines) == ["an agent answers", "the status can be told"]

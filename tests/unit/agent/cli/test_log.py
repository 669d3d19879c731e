import json
from collections.abc import Iterator

import pytest
import structlog

from agent.cli.invocation import LogFormat
from agent.cli.log import WITHHELD, announce, area_of, configure_log


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_programs_read_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log(service=True, form=LogFormat.JSON)
    structlog.get_logger("agent.realtime.runner").info("file\nfound", path="/tmp/a\udcff", device_id="dev_1")
    announce("protected roots=/home source=fanotify")
    found, announced = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert list(found) == ["time", "level", "area", "event", "device_id", "path"]
    assert (found["level"], found["area"], found["event"]) == ("info", "realtime", "file\nfound")
    assert announced["message"] == "protected roots=/home source=fanotify"


def test_secrets_are_withheld_and_a_traceback_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log(service=True, form=LogFormat.JSON)
    swordfish = "the value of a variable"
    try:
        int("ten" if swordfish else "")
    except ValueError:
        structlog.get_logger("agent.control.link.control_link").exception(
            "broke", activation_key="AAAA", rows=[{"private_key": "BBBB"}], password="CCCC"
        )
    text = capsys.readouterr().err
    assert "invalid literal" in json.loads(text)["exception"]
    assert text.count(WITHHELD) == 3
    assert not any(secret in text for secret in ("AAAA", "BBBB", "CCCC", swordfish))


def test_people_read_text_and_a_command_tells_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log(service=False)
    structlog.get_logger("agent.quarantine.vault").info("not told")
    structlog.get_logger("agent.quarantine.vault").error("told", code="X")
    [line] = capsys.readouterr().err.splitlines()
    assert "told" in line
    assert "code" in line
    assert not line.startswith("{")


def test_an_area_is_a_room() -> None:
    assert [area_of(name) for name in ("agent.realtime.runner", "agent.app", "", "x.y")] == [
        "realtime",
        "app",
        "",
        "x.y",
    ]

import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from controlplane.runtime.observability.call_log import SLOW_S, CallLog, Entered, tell_failed, tell_refused
from controlplane.runtime.observability.log_format import LogFormat
from controlplane.runtime.observability.logs import FIRST_FIELDS, WITHHELD, LibraryHandler, area_of, configure_logs
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, Role, calling
from controlplane.runtime.refusal import Kind, Refusal

DEVICE = DevicePrincipal("dev_1", "org_1", b"key")
PERSON = PersonPrincipal("usr_1", "org_2", Role.ADMIN, "tok_1")


@dataclass(slots=True)
class Log:
    file: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.getvalue().splitlines()]


@pytest.fixture(name="log")
def json_log() -> Iterator[Log]:
    before = list(logging.getLogger().handlers)
    file = io.StringIO()
    configure_logs(LogFormat.JSON, file)
    yield Log(file)
    structlog.reset_defaults()
    logging.getLogger().handlers = before


def test_a_line_says_when_how_bad_where_and_what_in_this_order(log: Log) -> None:
    structlog.get_logger("controlplane.billing.ledger").warning("invoice_late", days=3)
    [line] = log.lines()
    assert list(line) == ["time", "level", "area", "event", "days"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("time"))
    assert line == {"level": "warning", "area": "billing", "event": "invoice_late", "days": 3}


def test_what_is_done_for_a_caller_says_for_whom(log: Log) -> None:
    told = structlog.get_logger("controlplane.devices.registry")
    with calling(request_id="req_12345678", peer="192.0.2.7", principal=DEVICE):
        told.info("one")
    with calling(request_id="req_87654321", peer="192.0.2.7", principal=PERSON):
        told.info("two")
    told.info("three")
    who = ("request_id", "org_id", "device_id", "user_id")
    assert [[line.get(name) for name in who] for line in log.lines()] == [
        ["req_12345678", "org_1", "dev_1", None],
        ["req_87654321", "org_2", None, "usr_1"],
        [None, None, None, None],
    ]


def test_nothing_that_is_named_like_a_secret_is_written(log: Log) -> None:
    secrets = {
        "password": "s1",
        "bearer_token": "s2",
        "Authorization": "s3",
        "private_key": "s4",
        "activation_key": "s5",
    }
    structlog.get_logger("x").error("oops", given={"mail": {"client_secret": "s6"}}, rows=[{"cookie": "s7"}], **secrets)
    text = log.file.getvalue()
    assert not re.search(r"s\d", text)
    assert text.count(WITHHELD) == 7


def test_a_traceback_is_text_without_the_values_of_variables(log: Log) -> None:
    swordfish = "the value of a variable"
    try:
        int("ten" if swordfish else "")
    except ValueError as error:
        structlog.get_logger("x").error("failed", exc_info=error)
    [line] = log.lines()
    assert "ValueError" in line["exception"]
    assert swordfish not in line["exception"]


def test_a_line_is_one_line_whatever_stands_in_it(log: Log) -> None:
    structlog.get_logger("x").info("odd", text='a\nb" ={\u2028}\x1b[31m')
    assert len(log.file.getvalue().rstrip("\n").split("\n")) == 1
    configure_logs(LogFormat.TEXT, log.file)
    structlog.get_logger("x").info("odd", text="a\nlevel=error event=forged")
    assert log.file.getvalue().count("\n") == 2


def test_libraries_write_in_the_same_form(log: Log) -> None:
    logging.getLogger("aiohttp.server").warning("odd request from %s", "somewhere")
    logging.getLogger("aiohttp.server").info("not worth a line")
    [line] = [line for line in log.lines() if line["area"] == "aiohttp.server"]
    assert (line["event"], line["level"]) == ("library_said", "warning")
    assert line["message"] == "odd request from somewhere"
    assert sum(isinstance(handler, LibraryHandler) for handler in logging.getLogger().handlers) == 1


@pytest.mark.parametrize(
    ("module", "area"),
    [("controlplane.runtime.bus.nats", "runtime"), ("controlplane.serving", "serving"), ("nats", "nats"), ("", "")],
)
def test_an_area_is_a_room(module: str, area: str) -> None:
    assert area_of(module) == area


async def test_calls_that_are_refused_or_fail_say_whose_they_were_and_how_they_ended(log: Log) -> None:
    entered = Entered("/buckler.v1.X/Y", "req_12345678", 0.0, peer="192.0.2.7", principal=DEVICE)
    tell_refused(entered, "PERMISSION_DENIED", Refusal(Kind.FORBIDDEN, "FORBIDDEN", "no", "ask"))
    tell_failed(entered, "INTERNAL", RuntimeError("x"))
    refused, failed = log.lines()
    for line in (refused, failed):
        assert line.pop("duration_ms") > 0
        assert [line[name] for name in ("request_id", "org_id", "device_id")] == ["req_12345678", "org_1", "dev_1"]
    assert [refused[name] for name in ("event", "code", "reason", "peer")] == [
        "call_refused", "PERMISSION_DENIED", "FORBIDDEN", "192.0.2.7",
    ]  # fmt: skip
    assert (failed["event"], failed["level"], failed["code"]) == ("call_failed", "error", "INTERNAL")
    assert list(failed)[: len(FIRST_FIELDS) - 1] == [name for name in FIRST_FIELDS if name != "user_id"]


async def test_calls_that_go_well_are_told_if_they_are_slow_or_all_are(log: Log) -> None:
    import asyncio

    now = asyncio.get_running_loop().time()
    quick, slow = Entered("/quick", "req_1", now), Entered("/slow", "req_2", now - SLOW_S)
    stream = Entered("/stream", "req_3", now - 600, timed=False)
    for call in (quick, slow, stream):
        CallLog().ended(call)
    assert [(line["event"], line["method"]) for line in log.lines()] == [("call_slow", "/slow")]
    CallLog(every_call=True).ended(quick)
    assert log.lines()[-1]["event"] == "call_ended"

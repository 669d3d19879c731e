import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.services import ServiceStatus
from agent.platform.clock import SystemClock
from agent.support.check import Check
from agent.support.checkup import CheckResult, Fixer, Status, failing, passing
from agent.support.doctor import Doctor
from agent.support.machine import LocalMachine
from agent.support.repairs import LocalRepairs
from agent.support.surroundings import AgentSeen, DeviceSeen, Once, Place, ScanSeen, Surroundings

PLACE = Place(Path("/d"), Path("/d/agent.db"), Path("/d/device.key"), Path("/d/vault"))
AROUND = Surroundings(
    clock=SystemClock(),
    place=PLACE,
    machine=LocalMachine(),
    database=Once(lambda: ""),
    device=Once(DeviceSeen),
    agent=Once(lambda: AgentSeen(running=False)),
    service=Once(lambda: ServiceStatus("none")),
    scan=Once(lambda: ScanSeen(())),
    way=Once(lambda: None),
    device_way=Once(lambda: None),
    server=Once(lambda: None),
    repairs=LocalRepairs(PLACE, lambda: "", lambda: "", lambda: None),
)
BROKEN = replace(failing("BROKEN", "seen", effect="none", fixer=Fixer.USER, next_step="mend"), fixable=True)


def raising(error: Exception) -> Check:
    def look(_around: Surroundings) -> CheckResult:
        raise error

    return Check("raising", "raises", look)


def test_a_check_that_hangs_costs_its_own_result_only() -> None:
    forever = threading.Event()

    def hang(_around: Surroundings) -> CheckResult:
        forever.wait()
        return passing("")

    told: list[CheckResult] = []
    checks = [Check("hanging", "hangs", hang), Check("quick", "is quick", lambda _: passing("fine"))]
    report = Doctor(AROUND, checks, limit_s=0.3).examine(tell=told.append)
    forever.set()
    assert [(result.check, result.code) for result in told] == [("quick", "OK"), ("hanging", "CHECK_TIMED_OUT")]
    assert report.results[0].status is Status.UNKNOWN
    assert not report.has_failures


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BucklerError("X_Y", "no way", next_step="go"), "UNKNOWN", "no way (X_Y)"),
        (PermissionError(13, "Permission denied"), "UNKNOWN", "Permission denied"),
        (ZeroDivisionError("canary-secret"), "CHECK_FAILED", "ZeroDivisionError"),
    ],
)
def test_a_check_that_fails_itself_is_unknown_and_tells_no_secret(error: Exception, code: str, said: str) -> None:
    [result] = Doctor(AROUND, [raising(error)]).examine().results
    assert (result.status, result.code) == (Status.UNKNOWN, code)
    assert said in result.evidence
    assert "canary" not in repr(result)


def test_only_what_is_wanted_is_looked_at() -> None:
    checks = [Check("a", "", lambda _: passing("a")), Check("b", "", lambda _: BROKEN)]
    assert [result.check for result in Doctor(AROUND, checks).examine(["a"]).results] == ["a"]


def test_fix_mends_causes_first_and_looks_again() -> None:
    broken = {"cause", "effect"}

    def look(name: str) -> Callable[[Surroundings], CheckResult]:
        return lambda _: BROKEN if name in broken else passing("mended")

    def mend(_around: Surroundings, _result: CheckResult) -> str:
        broken.clear()
        return "all of it"

    checks = [Check(name, "", look(name), mend) for name in ("cause", "effect")]
    assert Doctor(AROUND, checks).examine().has_failures
    report = Doctor(AROUND, checks).examine(fix=True)
    assert report.fixed == {"cause": "all of it"}
    assert not report.has_failures


def test_what_cannot_be_mended_stays_and_says_why() -> None:
    def mend(_around: Surroundings, _result: CheckResult) -> str:
        raise BucklerError("AGENT_RUNNING", "an agent runs", next_step="stop it first")

    report = Doctor(AROUND, [Check("a", "", lambda _: BROKEN, mend)]).examine(fix=True)
    assert report.fixed == {"a": "not mended: an agent runs; stop it first"}
    assert report.first_code == "BROKEN"


def test_what_several_ask_for_is_looked_up_once_even_if_it_fails() -> None:
    asked = []

    def look() -> str:
        asked.append(1)
        raise BucklerError("X", "no", next_step="-")

    once = Once(look)
    for _ in range(2):
        with pytest.raises(BucklerError):
            once()
    assert len(asked) == 1
    once.forget()
    with pytest.raises(BucklerError):
        once()
    assert len(asked) == 2

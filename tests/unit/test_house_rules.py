"""Each house rule catches what it is for and leaves honest code alone."""

import pytest

from tests.house_rules import (
    RULES,
    Source,
    a_test_can_fail,
    files_fit_in_the_head,
    functions_fit_on_a_screen,
    no_float_near_money,
    no_junk_drawers,
    patches_per_test,
    time_comes_from_the_clock,
)

HONEST = Source.parse("tests/unit/test_x.py", "def test_one() -> None:\n    assert 1 + 1 == 2\n")


@pytest.mark.parametrize("rule", RULES)
def test_honest_code_breaks_no_rule(rule: object) -> None:
    assert callable(rule)
    assert list(rule(HONEST)) == []


def test_a_long_file_is_named() -> None:
    assert list(files_fit_in_the_head(Source.parse("agent/x.py", "a = 1\n" * 701)))


def test_a_long_function_is_named_with_its_line() -> None:
    text = "\ndef f() -> None:\n" + "    a = 1\n" * 80
    assert list(functions_fit_on_a_screen(Source.parse("agent/x.py", text))) == [
        "agent/x.py:2: f has 81 lines, more than 80"
    ]


@pytest.mark.parametrize("path", ["agent/utils.py", "agent/helpers/x.py", "controlplane/common.py"])
def test_a_junk_drawer_is_refused(path: str) -> None:
    assert list(no_junk_drawers(Source.parse(path, "a = 1\n")))


def test_the_time_is_read_in_the_clock_only() -> None:
    text = "import time\nnow = time.time_ns()\n"
    assert list(time_comes_from_the_clock(Source.parse("agent/domain/x.py", text)))
    assert not list(time_comes_from_the_clock(Source.parse("agent/platform/clock.py", text)))


def test_a_test_without_an_assertion_is_refused() -> None:
    assert list(a_test_can_fail(Source.parse("tests/unit/test_x.py", "def test_one() -> None:\n    print(1)\n")))


def test_many_patches_are_refused() -> None:
    text = "def test_one(monkeypatch) -> None:\n    monkeypatch." + "setattr(x, 'y', 1)\n    assert x\n"
    assert list(patches_per_test([Source.parse("tests/unit/test_x.py", text)]))


def test_floats_and_divisions_near_money_are_found() -> None:
    text = "a = 0.5\nb = float(1)\nc = 1 / 2\nc /= 2\nd = 1 // 2\n"
    found = list(no_float_near_money(Source.parse("controlplane/billing/anything.py", text)))
    assert sorted(complaint.split(":")[1] for complaint in found) == ["1", "2", "3", "4"]
    assert list(no_float_near_money(Source.parse("controlplane/devices/model.py", text))) == []

import sys

import pytest

from agent.domain.errors import BucklerError
from agent.platform.system_tools import Ran, need_root, refused, run_tool


@pytest.mark.skipif(sys.platform == "win32", reason="programs of POSIX")
def test_a_program_is_run_and_tells_how_it_ended() -> None:
    ran = run_tool(("sh", "-c", "echo out; echo no >&2; exit 3"))
    assert ran == Ran(3, "out\n", "no\n")


def test_a_program_that_is_missing_is_one_sentence() -> None:
    with pytest.raises(BucklerError, match="buckler-no-such-tool") as missing:
        run_tool(("buckler-no-such-tool",))
    assert missing.value.code == "SYSTEM_TOOL_MISSING"


def test_the_callers_path_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_tool(("sh", "-c", "exit 0")).status == 0


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        (Ran(1, "", "Failed:\n  Unit is masked.\n"), "Failed: Unit is masked"),
        (Ran(1, "on standard output", ""), "on standard output"),
        (Ran(4), "exit status 4"),
    ],
)
def test_a_refusal_is_one_line_with_its_words(ran: Ran, said: str) -> None:
    error = refused("systemd", ("systemctl", "start"), ran)
    assert error.message == f"systemd refused `systemctl start`: {said}"


def test_rights_are_asked_for_by_the_name_of_the_act() -> None:
    need_root("stop", lambda: True)
    with pytest.raises(BucklerError, match="only an administrator may stop"):
        need_root("stop", lambda: False)

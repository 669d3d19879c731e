"""What people see is theirs alone: names of files are chosen by strangers."""

import pytest

from agent.cli.printing import note_error, say, say_lines, say_table
from agent.domain.errors import BucklerError

HOSTILE = "/srv/a\udcff\n\x1b[2Jhealthy : true\u202e"
SHOWN = "/srv/a\\xff\\n\\x1b[2Jhealthy : true\\u202e"


def test_a_name_neither_draws_nor_begins_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    say(f"Restored to {HOSTILE}.")
    say_table(("ID", "PATH"), [("q_1", HOSTILE), ("q_2", "/srv/grün")])
    assert capfd.readouterr().out.splitlines() == [
        f"Restored to {SHOWN}.",
        "ID   PATH",
        f"q_1  {SHOWN}",
        "q_2  /srv/grün",
    ]


def test_an_error_about_it_is_two_lines(capfd: pytest.CaptureFixture[str]) -> None:
    note_error(BucklerError("X", f"there is nothing at {HOSTILE}", next_step=f"look at {HOSTILE}"), as_json=False)
    assert capfd.readouterr().err.splitlines() == [f"X: there is nothing at {SHOWN}", f"next: look at {SHOWN}"]


def test_lines_of_our_own_stay_lines(capfd: pytest.CaptureFixture[str]) -> None:
    say_lines("one\ntwo\tthree")
    assert capfd.readouterr().out == "one\ntwo\tthree\n"

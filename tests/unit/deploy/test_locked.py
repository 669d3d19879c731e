from pathlib import Path

import pytest

from deploy.building.locked import needed_by, part_of_lock

LOCK = """\
# made by a tool
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via tool
Beta_two==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:bb
gamma[extra]==3.0 \\
    --hash=sha256:cc
"""


def test_a_part_has_the_wanted_entries_whole() -> None:
    part = part_of_lock(LOCK, frozenset({"alpha", "beta-two"}))
    assert part.splitlines() == [
        "alpha==1.0 \\",
        "    --hash=sha256:aa \\",
        "    --hash=sha256:ab",
        "Beta_two==2.0 ; sys_platform == 'linux' \\",
        "    --hash=sha256:bb",
    ]


def test_what_is_not_locked_is_not_built() -> None:
    with pytest.raises(LookupError, match="delta"):
        part_of_lock(LOCK, frozenset({"alpha", "delta"}))


def test_what_an_installation_needs_is_locked_and_no_tool_of_developers_is_among_it() -> None:
    needed = needed_by("buckler", frozenset({"boreal", "postgres", "stripe"}))
    assert {"grpcio", "yara-python", "asyncpg", "stripe", "greenlet"} <= needed
    assert not {"pytest", "mypy", "ruff", "buckler"} & needed
    assert part_of_lock((Path(__file__).parents[3] / "requirements.lock").read_text(), needed)

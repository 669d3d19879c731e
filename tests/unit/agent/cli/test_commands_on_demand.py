import subprocess
import sys

import typer
from typer.core import TyperGroup

from agent.cli.commands_on_demand import PLACES
from agent.cli.main import buckler

_LOADED = """
import sys
from agent.cli.main import run_command
status = run_command(sys.argv[1:])
print(*sorted(name for name in sys.modules))
sys.exit(status)
"""


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _LOADED, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_each_command_is_where_the_table_says() -> None:
    group = typer.main.get_command(buckler)
    assert isinstance(group, TyperGroup)
    assert [name for name, command in group.commands.items() if command.name == name] == list(PLACES)
    assert all(command.help for command in group.commands.values())


def test_a_command_loads_neither_the_others_nor_what_converts_arguments() -> None:
    loaded = loaded_by("rules", "check", "--help")
    assert "agent.cli.rules" in loaded
    assert not loaded & {"agent.cli.doctor", "agent.cli.quarantine", "agent.cli.scan"}

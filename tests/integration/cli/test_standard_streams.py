"""Both kinds of program, with standard streams that nobody reads, that are full, or closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOT_READ = 141
#: Each says something without a server, an agent or a database.
PROGRAMS = {
    "buckler": ("agent.cli.main", ["exclusion", "list"]),
    "bucklerctl": ("controlplane.cli.bucklerctl", ["--help"]),
}


def start(program: str, data: Path, stdout: int | None) -> tuple[int, str]:
    """Run a program with a standard output, None: a closed one; its exit status and what it said beside."""
    module, arguments = PROGRAMS[program]
    command = [sys.executable, "-c", f"from {module} import main; main()", *arguments]
    if stdout is None:
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    environment = os.environ | {"BUCKLER_DATA_DIR": str(data), "BUCKLER_CONFIG": ""}
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_output_that_is_not_read_ends_it_without_a_word(program: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert start(program, tmp_path, writing) == (NOT_READ, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")  # noqa: PTH110
@pytest.mark.parametrize("program", PROGRAMS)
def test_output_that_is_full_is_one_error(program: str, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        status, said = start(program, tmp_path, full)
    finally:
        os.close(full)
    assert (status, said.partition(":")[0]) == (5, "OUTPUT_NOT_WRITTEN")


@pytest.mark.parametrize("program", PROGRAMS)
def test_output_that_is_closed_is_not_missed(program: str, tmp_path: Path) -> None:
    assert start(program, tmp_path, None) == (0, "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_terminal_without_a_character_shows_its_escape(program: str) -> None:
    module = PROGRAMS[program][0].replace(".main", "").replace(".bucklerctl", "") + ".standard_streams"
    code = f"from {module} import prepare_streams; prepare_streams(exit); print(chr(0x2026)); print(ascii(input()))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"a\xff\n", capture_output=True, env=environment, check=True
    )
    assert done.stdout.split() == [rb"\u2026", rb"'a\udcff'"]

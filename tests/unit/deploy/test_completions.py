"""The completions, asked in the shells themselves where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.building.completions import bash_completion, fish_completion, zsh_completion
from deploy.building.share import share_files
from tests.unit.deploy.programs import program


def in_shell(shell: str, script: str, folder: Path) -> list[str]:
    """Words that a shell prints, with an empty home."""
    program_path = shutil.which(shell)
    if program_path is None:
        pytest.skip(f"{shell} is not installed")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C"}
    done = subprocess.run([program_path, "-c", script], capture_output=True, text=True, env=env, cwd=folder, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tool", ""], {"paint", "box", "--config", "--help"}),
        (["tool", "p"], {"paint"}),
        (["tool", "--config", "/x", "b"], {"box"}),
        (["tool", "box", ""], {"open", "close", "--help"}),
        (["tool", "box", "open", "r"], {"red"}),
        (["tool", "paint", "--c"], {"--colour"}),
        (["tool", "paint", "--colour", ""], {"red", "blue"}),
        (["tool", "paint", "fi"], {"file.txt"}),
        (["tool", "--config", "fi"], {"file.txt"}),
        (["tool", "fly", "a"], set()),
    ],
)
def test_bash_offers_what_may_follow(words: list[str], offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "tool.bash").write_text(bash_completion(program()))
    typed = " ".join(f"'{word}'" for word in words)
    script = f"source ./tool.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _tool; echo ${{COMPREPLY[@]}}"
    # compopt works only while a person presses TAB.
    assert set(in_shell("bash", "compopt() { :; }; " + script, tmp_path)) == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("tool ", {"paint", "box"}),
        ("tool box ", {"open", "close"}),
        ("tool box open ", {"red", "blue"}),
        ("tool paint --colour ", {"red", "blue"}),
    ],
)
def test_fish_offers_what_may_follow(line: str, offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "tool.fish").write_text(fish_completion(program()))
    script = f"source tool.fish; complete --do-complete '{line}' | string replace --regex '\\t.*' ''; true"
    assert set(in_shell("fish", script, tmp_path)) == offered


def test_zsh_reads_its_function(tmp_path: Path) -> None:
    (tmp_path / "_tool").write_text(zsh_completion(program()))
    assert in_shell("zsh", "zsh -n ./_tool && echo fine", tmp_path) == ["fine"]


@pytest.mark.parametrize("name", ["buckler", "bucklerctl", "buckler-server"])
def test_those_of_our_programs_are_read_by_every_shell(name: str, tmp_path: Path) -> None:
    from deploy.building.command_tree import read_program
    from deploy.building.share import PROGRAMS

    for path, text in share_files(read_program(name, PROGRAMS[name]), "2026-11-25").items():
        file = tmp_path / Path(path).name
        file.write_text(text)
        for shell in ("bash", "zsh", "fish"):
            if shell in path:
                assert in_shell(shell, f"{shell} -n {file} && echo fine", tmp_path) == ["fine"]

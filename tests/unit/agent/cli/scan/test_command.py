from pathlib import Path

import pytest
import typer

from agent.cli.scan.command import scan_command
from agent.cli.scan.request import ScanDefaults, ScanPlace, ScanWiring
from agent.domain.errors import BucklerError
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness


def no_vault(_place: ScanPlace) -> None:
    raise AssertionError("nobody asked for quarantine")


@pytest.mark.parametrize(
    "bad",
    [
        {"max_file_size": "lots"},
        {"max_file_size": "-1"},
        {"max_expanded_size": "1.5G"},
        {"max_depth": 65},
        {"timeout": 0.0},
        {"timeout": float("nan")},
    ],
)
def test_numbers_that_mean_nothing_are_bad_usage(tmp_path: Path, bad: dict[str, object]) -> None:
    wiring = ScanWiring(FakeClock(), SeededRandomness(), lambda _place: ScanDefaults(), no_vault)  # type: ignore[arg-type]
    with pytest.raises(typer.BadParameter):
        scan_command(wiring)([str(tmp_path)], **bad)


def test_paths_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    wiring = ScanWiring(FakeClock(), SeededRandomness(), lambda _place: ScanDefaults(), no_vault)  # type: ignore[arg-type]
    with pytest.raises(BucklerError) as caught:
        scan_command(wiring)([str(tmp_path / "a\nb")], rules=[tmp_path / "also-missing"])
    assert caught.value.code == "PATH_NOT_FOUND"
    assert "\n" not in caught.value.message

from pathlib import Path

import pytest
import typer
import typer.core
from typer.testing import CliRunner

from agent.cli.invocation import Common
from agent.cli.scan.command import scan_command
from agent.cli.scan.request import ScanDefaults, ScanPlace, ScanWiring
from agent.domain.errors import BucklerError
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import SeededRandomness

CONTEXT = typer.Context(typer.core.TyperCommand("scan"))


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
        scan_command(wiring)([str(tmp_path)], context=CONTEXT, **bad)


def test_paths_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    wiring = ScanWiring(FakeClock(), SeededRandomness(), lambda _place: ScanDefaults(), no_vault)  # type: ignore[arg-type]
    with pytest.raises(BucklerError) as caught:
        scan_command(wiring)([str(tmp_path / "a\nb")], context=CONTEXT, rules=[tmp_path / "also-missing"])
    assert caught.value.code == "PATH_NOT_FOUND"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("after", [(), ("--data-dir", "/after", "--config", "/after.toml")])
def test_where_things_are_may_be_said_before_the_command_as_of_every_other(
    tmp_path: Path, after: tuple[str, ...]
) -> None:
    asked: list[ScanPlace] = []

    def defaults(place: ScanPlace) -> ScanDefaults:
        asked.append(place)
        return ScanDefaults()

    app = typer.Typer()
    app.command()(scan_command(ScanWiring(FakeClock(), SeededRandomness(), defaults, no_vault)))  # type: ignore[arg-type]
    before = Common(data_dir=Path("/before"), config=Path("/before.toml"))
    CliRunner().invoke(app, [str(tmp_path / "missing"), *after], obj=before)
    assert asked == [
        ScanPlace(Path("/after"), Path("/after.toml")) if after else ScanPlace(before.data_dir, before.config)
    ]

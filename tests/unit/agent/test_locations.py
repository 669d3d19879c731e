from pathlib import Path

import pytest

from agent.cli.scan.request import ScanPlace
from agent.cli.scan.wiring import scan_wiring
from agent.locations import Overrides, find_locations, is_unconfigured


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUCKLER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BUCKLER_CONFIG", "")


def with_file(tmp_path: Path, text: str) -> Overrides:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    return Overrides(config_file=file)


@pytest.mark.parametrize("text", ["", "# nothing = 1\n\n"])
def test_a_file_of_comments_configures_nothing(tmp_path: Path, text: str) -> None:
    assert is_unconfigured(find_locations(with_file(tmp_path, text)))


@pytest.mark.parametrize("text", ["[scanner]\nworkers = 1", "[scanner]", "[scanner", "x"])
def test_a_file_that_says_something_or_cannot_be_read_has_to_be_read(tmp_path: Path, text: str) -> None:
    assert not is_unconfigured(find_locations(with_file(tmp_path, text)))


@pytest.mark.parametrize("name", ["BUCKLER_SCANNER__WORKERS", "buckler_scanner__workers", "BUCKLER_SCANNER"])
def test_a_variable_configures_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    overrides = with_file(tmp_path, "")
    monkeypatch.setenv(name, "{}")
    assert not is_unconfigured(find_locations(overrides))


def test_where_nothing_is_configured_scans_are_as_with_an_empty_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ScanPlace(None, with_file(tmp_path, "").config_file)
    unread = scan_wiring().load_defaults(place)
    monkeypatch.setenv("BUCKLER_SCANNER__WORKERS", "0")
    assert not is_unconfigured(find_locations(Overrides(config_file=place.config)))
    assert scan_wiring().load_defaults(place) == unread

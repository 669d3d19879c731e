from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import SettingOrigin, load_config, settings_with_origins
from agent.domain.errors import BucklerError
from agent.domain.governor import ResourceLimits
from agent.domain.policy import Action, Mode
from agent.domain.retention import RetentionLimits
from agent.locations import Overrides
from agent.realtime.settings import BlockSettings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUCKLER_CONFIG", "BUCKLER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, text: str) -> Overrides:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    return Overrides(data_dir=tmp_path, config_file=file)


def test_every_key_is_optional(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ""))
    assert config.control_plane is None
    assert config.realtime.source == "auto"
    assert config.realtime.roots
    assert (config.policy.mode, config.policy.on_infected) == (Mode.NOTIFY, Action.QUARANTINE)
    assert not config.policy.stop_processes
    assert (config.retention, config.resources) == (RetentionLimits(), ResourceLimits())


def test_each_setting_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = written(tmp_path, "[scanner]\nworkers = 3\n[realtime]\nmode = 'block'\n")
    monkeypatch.setenv("BUCKLER_REALTIME__MODE", "notify")
    found = settings_with_origins(overrides)
    assert found["scanner.workers"] == SettingOrigin(3, str(tmp_path / "agent.toml"))
    assert found["realtime.mode"] == SettingOrigin("notify", "environment variable BUCKLER_REALTIME__MODE")
    assert found["support.diagnostics"] == SettingOrigin("hide_paths", "default")
    assert found["realtime.roots"].value


def test_the_same_agent_is_named_by_its_options(tmp_path: Path) -> None:
    locations = load_config(written(tmp_path, "")).locations
    assert locations.options == ("--data-dir", str(tmp_path), "--config", str(tmp_path / "agent.toml"))


def test_the_whole_file_is_read(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            """
            [control_plane]
            address = "protect.example.com:8443"
            [realtime]
            roots = ["/srv//data/"]
            source = "watchdog"
            mode = "block"
            action = "report"
            [scanner]
            workers = 3
            rules = ["/etc/rules"]
            [exclusions]
            paths = ["/srv/data/build"]
            [quarantine]
            max_size = "2 GiB"
            keep_days = 90
            warn_days = 14
            stop_processes = true
            [resources]
            cpu_percent = 25
            memory_mb = 700
            """,
        )
    )
    assert config.control_plane == "protect.example.com:8443"
    assert config.realtime.roots == ("/srv/data",)
    assert config.scanner.workers == 3
    assert config.extra_rules == (Path("/etc/rules"),)
    assert (config.policy.mode, config.policy.on_infected) == (Mode.BLOCK, Action.REPORT)
    assert config.policy.excluded_paths == ("/srv/data/build",)
    assert config.policy.stop_processes
    assert config.retention == RetentionLimits(2 << 30, timedelta(days=90), timedelta(days=14))
    assert config.resources == ResourceLimits(cpu_percent=25, memory_mb=700)


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = written(tmp_path, '[realtime]\nroots = ["/file"]\n[scanner]\nworkers = 1\n')
    monkeypatch.setenv("BUCKLER_SCANNER__WORKERS", "2")
    monkeypatch.setenv("BUCKLER_REALTIME__ROOTS", '["/environment"]')
    config = load_config(overrides)
    assert (config.realtime.roots, config.scanner.workers) == (("/environment",), 2)
    flagged = Overrides(overrides.data_dir, overrides.config_file, roots=(Path("/flag"),), mode=Mode.BLOCK)
    assert load_config(flagged).realtime.roots == ("/flag",)
    assert load_config(flagged).policy.mode_of_this_run is Mode.BLOCK


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[realtime]\nmode = 'blok'", "realtime.mode", "'notify' or 'block'"),
        ("[realtime]\nblock_budget_s = 0", "realtime.block_budget_s", "greater than or equal to 0.5"),
        ("[realtime]\nblock_on_timeout = 'maybe'", "realtime.block_on_timeout", "'allow' or 'deny'"),
        ("[realtime]\nreconcile_every_h = 0", "realtime.reconcile_every_h", "greater than or equal to 0.25"),
        ("[realtime]\nroots = ['/srv']\nblock_folders = ['/opt']", "realtime.block_folders", "below none of the"),
        ("[realtime]\nrots = []", "realtime.rots", "no such key"),
        ("[scaner]\nworkers = 1", "scaner", "no such key"),
        ("[scanner]\nworkers = -1", "scanner.workers", "greater than or equal to 0"),
        ("[scanner]\nworkers = 'many'", "scanner.workers", "integer"),
        ("[realtime]\nroots = ['relative']", "realtime.roots", "absolute path"),
        ("[exclusions]\npaths = ['/']", "exclusions.paths", "nothing protected"),
        ("[quarantine]\nwarn_days = 1", "quarantine.warn_days", "greater than or equal to 3"),
        ("[quarantine]\nmax_size = 'much'", "quarantine.max_size", "byte"),
        ("[resources]\ncpu_percent = 0", "resources.cpu_percent", "greater than or equal to 1"),
        ("[scanner", "", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_expectation(tmp_path: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(BucklerError) as refused:
        load_config(written(tmp_path, text))
    assert refused.value.code == "CONFIG_INVALID"
    assert str(tmp_path / "agent.toml") in refused.value.message
    assert said in refused.value.message
    assert refused.value.facts["key"] == key


@pytest.mark.parametrize(
    ("name", "value"),
    [("BUCKLER_SCANNER__WORKERS", "x"), ("BUCKLER_SCANNER__FOO", "1"), ("BUCKLER_SCANER__WORKERS", "1")],
)
def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BucklerError) as refused:
        load_config(Overrides(data_dir=tmp_path))
    assert refused.value.code == "CONFIG_INVALID"
    assert name in refused.value.message


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BucklerError) as refused:
        load_config(Overrides(data_dir=tmp_path, config_file=tmp_path / "none.toml"))
    assert refused.value.code == "CONFIG_UNREADABLE"


def test_blocking_and_walks_are_as_configured(tmp_path: Path) -> None:
    keys = 'block_folders = ["/srv/in"]\nblock_budget_s = 2.5\nblock_on_timeout = "deny"\nreconcile_every_h = 6'
    config = load_config(written(tmp_path, f'[realtime]\nroots = ["/srv"]\n{keys}\n'))
    assert config.realtime.block == BlockSettings(("/srv/in",), 2.5, fail_open=False)
    assert config.realtime.block.answer_within_s == 2.0
    assert config.realtime.reconcile_every_s == 6 * 3600


def test_nothing_is_scanned_by_schedule_unless_that_is_asked_for(tmp_path: Path) -> None:
    schedule = load_config(written(tmp_path, "")).schedule
    assert schedule.schedules == {}
    assert (schedule.cpu_percent, schedule.pause_on_battery, schedule.network_filesystems) == (20, True, False)


def test_a_schedule_is_read(tmp_path: Path) -> None:
    text = """
    [schedule]
    quick = "daily 12:30"
    full = "weekly sunday 03:00"
    cpu_percent = 50
    pause_on_battery = false
    network_filesystems = true
    jitter_minutes = 0
    """
    schedule = load_config(written(tmp_path, text)).schedule
    assert {kind.value: str(at) for kind, at in schedule.schedules.items()} == {
        "quick": "daily 12:30",
        "full": "weekly sunday 03:00",
    }
    assert (schedule.cpu_percent, schedule.pause_on_battery, schedule.network_filesystems) == (50, False, True)
    assert not schedule.jitter


@pytest.mark.parametrize("line", ['quick = "hourly"', 'full = "weekly 03:00"', "cpu_percent = 0", "cpu_percent = 101"])
def test_a_schedule_that_means_nothing_names_the_key(tmp_path: Path, line: str) -> None:
    with pytest.raises(BucklerError) as refused:
        load_config(written(tmp_path, f"[schedule]\n{line}\n"))
    assert refused.value.code == "CONFIG_INVALID"
    assert refused.value.facts["key"] == f"schedule.{line.partition(' ')[0]}"

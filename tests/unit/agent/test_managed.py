"""What the organisation sets, laid over the settings of a device."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config import AgentConfig, load_config
from agent.control.policy.keeper import PolicyKeeper
from agent.control.policy.managed_policy import GivenPolicy, ManagedPolicy
from agent.domain.consent import Consent
from agent.domain.schedule import ScanKind
from agent.locations import Overrides
from agent.managed import Managed, PolicyFollowers, floor_objection, follow, usable_roots
from tests.fakes.store import MemoryStore
from wire.policy_document import read_toml

if TYPE_CHECKING:
    from agent.scanner.scheduled.settings import ScheduleSettings

LOCAL = """
[schedule]
quick = "daily 10:00"
full = "weekly sunday 03:00"
cpu_percent = 40
[quarantine]
keep_days = 30
[resources]
memory_mb = 700
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentConfig:
    monkeypatch.delenv("BUCKLER_CONFIG", raising=False)
    file, root = tmp_path / "agent.toml", tmp_path / "local"
    file.write_text(LOCAL)
    root.mkdir()
    return load_config(Overrides(tmp_path / "data", file, (root,)))


def managed(config: AgentConfig, source: str) -> Managed:
    keeper = PolicyKeeper(MemoryStore(), lambda: "org_1/dev_1", lambda _: "", "1.0")
    keeper.receive(GivenPolicy("etag", "baseline.1", read_toml(source).canonical().decode()))
    keeper.begin()
    return Managed(keeper, config)


def test_what_a_policy_does_not_name_stays_as_it_is_configured(config: AgentConfig) -> None:
    assert managed(config, "").config() == config
    assert managed(config, '[realtime]\nmode = "block"').config() == config, "the mode is the policy book's"


def test_what_a_policy_names_goes_before_the_configuration(config: AgentConfig) -> None:
    source = """
    [schedule]
    quick = "off"
    jitter_minutes = 5
    network_filesystems = true
    overdue_days = 5
    [quarantine]
    keep_days = 0
    warn_days = 10
    [resources]
    cpu_percent = 20
    [support]
    diagnostics = "never"
    """
    laid = managed(config, source).config()
    assert [str(at) for at in laid.schedule.schedules.values()] == ["weekly sunday 03:00"]
    assert (laid.schedule.jitter, laid.schedule.cpu_percent) == (timedelta(minutes=5), 40)
    assert laid.schedule.network_filesystems
    assert (config.schedule.limit_days, laid.schedule.limit_days) == (14, 5)
    assert (laid.retention.keep_for, laid.retention.notice) == (None, timedelta(days=10))
    assert laid.diagnostics is Consent.NEVER
    assert (laid.resources.cpu_percent, laid.resources.memory_mb) == (20, 700)


def test_folders_that_are_missing_are_left_out_and_told_and_never_all_of_them(
    config: AgentConfig, tmp_path: Path
) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.mkdir()
    both = managed(config, f"[realtime]\nroots = ['{there}', '{missing}']")
    assert both.config().realtime.roots == (str(there),)
    assert [issue.code for issue in both.issues()] == ["policy_roots_missing"]
    none = ManagedPolicy("baseline.1", read_toml(f"[realtime]\nroots = ['{missing}']"))
    assert usable_roots(none, config.realtime.roots)[0] == config.realtime.roots
    assert "none of the folders" in floor_objection(none, config)


def test_exclusions_may_not_cover_all_that_is_watched(config: AgentConfig, tmp_path: Path) -> None:
    excluded = "[[exclusions]]\nkind='path'\nvalue='{}'\nreason='x'"
    whole = ManagedPolicy("baseline.1", read_toml(excluded.format(tmp_path)))
    part = ManagedPolicy("baseline.1", read_toml(excluded.format(tmp_path / "local/build")))
    assert "none of the watched folders" in floor_objection(whole, config)
    assert floor_objection(part, config) == ""


def test_whoever_works_by_it_hears_of_a_change(config: AgentConfig) -> None:
    laid = managed(config, "")
    heard: list[str] = []
    schedules: list[ScheduleSettings] = []
    restarts: list[str] = []
    followers = PolicyFollowers(
        lambda policy: heard.append(policy.version), lambda: heard.append("mode"), schedules.append
    )
    follow(laid, followers, lambda: restarts.append("restart"))
    document = read_toml('[schedule]\nquick = "off"').canonical().decode()
    laid.keeper.receive(GivenPolicy("other", "baseline.2", document))
    assert (heard, restarts) == (["baseline.2", "mode"], [])
    assert [settings.schedules.keys() for settings in schedules] == [{ScanKind.FULL}]
    assert laid.names() == {"schedule.quick"}
    facts = laid.facts()
    assert (facts.desired, facts.applied, facts.settings) == ("baseline.2", "baseline.2", {"schedule.quick": "off"})

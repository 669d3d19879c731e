"""The Debian package on a fresh Debian that systemd runs: one story, from nothing to purged."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.fresh_debian import FreshDebian, NoDebianError, fresh_debian
from tests.e2e.installation import wait_until
from tests.fakes.eicar import EICAR

TREE = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not Path("/etc/debian_version").exists() or os.geteuid() != 0, reason="needs root on Debian: boots another one"
    ),
]


def build(out: Path, **environment: str) -> Path:
    """`make deb` puts it into the checkout; a test, into a folder of its own."""
    subprocess.run(["make", "wheel"], cwd=TREE, check=True, capture_output=True)
    [wheel] = (TREE / "build/wheel").glob("*.whl")
    command = [sys.executable, "-m", "deploy.building.deb", str(wheel), str(out)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1764028800", **environment}
    done = subprocess.run(command, cwd=TREE, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0 and done.stderr.startswith("deb: "):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    [package] = out.glob("*.deb")
    return package


@pytest.fixture(name="package", scope="module")
def package_of_this_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture(name="debian", scope="module")
def debian_of_this_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshDebian]:
    try:
        with fresh_debian(tmp_path_factory.mktemp("debian")) as debian:
            yield debian
    except NoDebianError as error:
        pytest.skip(str(error))


def test_two_builds_of_one_commit_are_alike(package: Path, tmp_path: Path) -> None:
    again = build(tmp_path, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")
    assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(package.read_bytes()).hexdigest()


def test_from_nothing_to_protected_and_away_again(debian: FreshDebian, package: Path) -> None:
    _it_protects_once_it_is_installed(debian, package)
    entry = _it_takes_a_threat(debian)
    assert (debian.top / f"var/lib/buckler/vault/{entry}.bkq").is_file()
    _it_is_started_again_when_it_is_killed(debian)
    _people_stop_and_start_it(debian)
    _an_upgrade_keeps_data_and_what_was_stopped(debian, package)
    _it_is_not_purged_over_a_full_vault(debian, entry)
    _removal_keeps_data_and_says_how_to_have_it_back(debian, entry)
    _after_a_purge_the_file_still_comes_back(debian, package, entry)
    _with_an_empty_vault_nothing_is_left(debian)


def _it_protects_once_it_is_installed(debian: FreshDebian, package: Path) -> None:
    said, _seconds = debian.install(package)
    assert "buckler: protected roots=" in said.stdout
    assert debian.field("says").startswith("protected roots=")
    assert "source=fanotify" in debian.field("says")
    assert [debian.field(name) for name in ("enabled", "running", "restarts", "last_exit")] == ["true", "true", "0", ""]
    # What was there before is looked through next; until then the device is degraded, and says so.
    wait_until(lambda: debian.run("buckler", "status").status == 0, "all of the device is protected", 60.0)
    assert debian.run("buckler", "status", "--field", "real_time_protection_proven_at").expect().stdout.strip()
    assert debian.run("buckler", "service", "install").expect(1).stderr.startswith("SERVICE_ALREADY_INSTALLED")
    refused = debian.run("setpriv", "--reuid=nobody", "--clear-groups", "buckler", "service", "stop").expect(5)
    assert refused.stderr.startswith("NOT_PERMITTED")
    for name in ("man/man1/buckler.1.gz", "bash-completion/completions/buckler", "zsh/vendor-completions/_bucklerctl"):
        assert (debian.top / "usr/share" / name).is_file()


def _it_takes_a_threat(debian: FreshDebian) -> str:
    threat = debian.top / "home/eicar.com"
    threat.write_bytes(EICAR)
    wait_until(lambda: not threat.exists(), "the threat is taken")
    listed = debian.run("buckler", "quarantine", "list").expect().stdout
    return next(word for line in listed.splitlines() if "/home/eicar.com" in line for word in line.split()[:1])


def _it_is_started_again_when_it_is_killed(debian: FreshDebian) -> None:
    before = debian.field("process")
    debian.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "buckler").expect()
    wait_until(lambda: debian.field("state") == "running" and debian.field("process") != before, "it runs again", 60.0)
    assert debian.field("restarts") == "1"
    assert debian.field("last_exit") == f"ended by signal {signal.SIGKILL.name}"
    assert debian.field("says").startswith("protected roots=")


def _people_stop_and_start_it(debian: FreshDebian) -> None:
    debian.run("buckler", "service", "stop").expect()
    assert debian.run("buckler", "service", "status").expect(1).stdout
    assert "protected roots=" in debian.run("buckler", "service", "start").expect().stdout
    debian.run("buckler", "service", "stop").expect()


def _an_upgrade_keeps_data_and_what_was_stopped(debian: FreshDebian, package: Path) -> None:
    settings = debian.top / "etc/buckler/agent.toml"
    settings.write_text(settings.read_text() + "\n[exclusions]\npaths = ['/home/mine']\n")
    debian.run("apt-get", "install", "--yes", "--reinstall", f"/root/{package.name}").expect()
    assert debian.field("running") == "false"
    assert "/home/mine" in settings.read_text()
    assert debian.run("buckler", "status", "--field", "quarantined_count").stdout.strip() == "1"


def _it_is_not_purged_over_a_full_vault(debian: FreshDebian, entry: str) -> None:
    refused = debian.run("buckler", "service", "uninstall", "--purge").expect(1)
    assert refused.stderr.startswith("QUARANTINE_NOT_EMPTY")
    assert (debian.top / f"var/lib/buckler/vault/{entry}.bkq").is_file()


def _removal_keeps_data_and_says_how_to_have_it_back(debian: FreshDebian, entry: str) -> None:
    said = debian.run("dpkg", "--remove", "buckler").expect().stdout
    assert "1 quarantined file(s) stay in /var/lib/buckler" in said
    assert (debian.top / f"var/lib/buckler/vault/{entry}.bkq").is_file()
    assert (debian.top / "etc/buckler/agent.toml").is_file()
    assert not (debian.top / "usr/bin/buckler").is_symlink()
    assert not (debian.top / "opt/buckler").exists()


def _after_a_purge_the_file_still_comes_back(debian: FreshDebian, package: Path, entry: str) -> None:
    said = debian.run("dpkg", "--purge", "buckler").expect().stdout
    assert "/var/lib/buckler is kept: its vault holds 1 quarantined file(s)" in said
    assert not (debian.top / "etc/buckler").exists()
    debian.install(package)
    debian.run("buckler", "service", "stop").expect()
    debian.run("buckler", "quarantine", "restore", entry).expect()
    assert (debian.top / "home/eicar.com").read_bytes() == EICAR


def _with_an_empty_vault_nothing_is_left(debian: FreshDebian) -> None:
    debian.run("dpkg", "--purge", "buckler").expect()
    for path in ("var/lib/buckler", "etc/buckler", "run/buckler", "opt/buckler"):
        assert not (debian.top / path).exists(), path
    assert debian.run("systemctl", "is-enabled", "buckler").status != 0


def test_the_control_plane_serves_as_nobody_special(debian: FreshDebian, package: Path) -> None:
    debian.install(package)
    who = ("--org", "Example Ltd", "--admin-email", "admin@example.com")
    debian.run("buckler-server", "init", "--hostname", "localhost", *who).expect()
    debian.run("systemctl", "enable", "--now", "buckler-server").expect()
    # Type=notify: `systemctl start` has waited until both ports answer.
    shown = debian.run("systemctl", "show", "buckler-server", "--property=ActiveState,StatusText,NRestarts").expect()
    assert set(shown.stdout.split("\n")[:-1]) >= {"ActiveState=active", "NRestarts=0"}
    assert "StatusText=serving tls=" in shown.stdout
    said = debian.run("dpkg", "--purge", "buckler").expect().stdout
    assert "/var/lib/buckler-server is kept" in said
    assert (debian.top / "var/lib/buckler-server/server.toml").is_file()

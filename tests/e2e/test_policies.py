"""An organisation sets a policy; a device takes it, keeps it without its server, and says which one is in force."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dropper import drop
from tests.e2e.installation import Admin, Device, Server, wait_until


class Office:
    """A served subscription with one protected device."""

    def __init__(self, scratch: Path) -> None:
        self.folder, self.more, self.scratch = scratch / "Documents", scratch / "Projects", scratch
        for folder in (self.folder, self.more):
            folder.mkdir()
        self.server = Server(scratch / "server")
        self.admin = Admin(self.server, scratch / "admin")
        self.device = Device(self.server, scratch / "device")
        key = self.server.init("home-3")["activation_key"]
        self.server.start()
        self.admin.login().expect()
        self.device_id: str = self.device.activate(key).expect().json()["device_id"]
        self.device.start(self.folder)

    def apply(self, document: str, *options: str) -> Any:
        file = self.scratch / "baseline.toml"
        file.write_text(document)
        return self.admin.ctl("policy", "apply", str(file), *options).expect().json()

    def wait_for(self, version: str) -> None:
        wait_until(lambda: self.device.field("policy_version_applied") == version, f"{version} is in force")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    running = Office(tmp_path)
    yield running
    running.device.kill()
    running.server.kill()


@pytest.mark.timeout(180)
def test_a_policy_reaches_a_device_and_stays_in_force_without_the_server(office: Office) -> None:
    build = office.folder / "build"
    build.mkdir()
    excluded = f"[[exclusions]]\nkind = 'path'\nvalue = '{build}'\nreason = 'compilers write here'\n"
    document = f"[schedule]\nquick = 'daily 12:30'\n[realtime]\nmode = 'notify'\n{excluded}"
    preview = office.apply(document, "--all", "--preview")
    assert (preview["devices_changed"], len(preview["effects"][0]["changes"])) == (1, 3)
    assert office.apply(document, "--all")["revision"] == 1

    office.wait_for("baseline.1")
    status = office.device.status()
    assert status["policy_version_desired"] == "baseline.1"
    assert status["real_time_protection_mode"] == "notify [managed]"
    assert status["next_quick_scan"].endswith("[managed]")
    assert drop(build, "eicar.com")[0].exists()
    wait_until(
        lambda: office.admin.ctl("policy", "rollout", "status", "baseline").expect().json()["applied"] == 1, "told"
    )

    refused = office.device.buckler("mode", "block")
    assert refused.status == 1
    assert "VALUE_MANAGED" in refused.stderr
    [exclusion] = office.device.buckler("exclusion", "list", "--output", "json").expect().json()
    assert (exclusion["value"], exclusion["managed"]) == (str(build), True)
    assert "VALUE_MANAGED" in office.device.buckler("exclusion", "remove", exclusion["id"]).stderr

    office.server.stop()
    office.device.stop()
    office.device.start(office.folder)
    assert office.device.field("policy_version_applied") == "baseline.1"
    assert drop(build, "eicar2.com")[0].exists()
    caught, _ = drop(office.folder, "eicar.com")
    wait_until(lambda: not caught.exists(), "what is not excluded is taken")


@pytest.mark.timeout(180)
def test_a_policy_that_needs_a_restart_is_applied_once_protection_is_proven_and_a_bad_one_never(office: Office) -> None:
    assert office.device.service is not None
    pid = office.device.service.pid
    office.apply(f"[realtime]\nroots = ['{office.more}']\n", "--all")
    office.wait_for("baseline.1")
    assert office.device.service.pid == pid
    assert office.device.field("watched_roots") == f"{office.more} [managed]"

    excluded = f"[[exclusions]]\nkind = 'path'\nvalue = '{office.more}'\nreason = 'a mistake'\n"
    office.apply(f"[realtime]\nroots = ['{office.more}']\n{excluded}")
    wait_until(lambda: office.device.field("policy_version_desired") == "baseline.2", "the second one has arrived")
    assert office.device.field("policy_version_applied") == "baseline.1"
    assert "policy_refused" in office.device.field("health_issues")
    caught, _ = drop(office.more, "eicar.com")
    wait_until(lambda: not caught.exists(), "the folder is watched")
    wait_until(
        lambda: office.admin.ctl("policy", "rollout", "status", "baseline").expect().json()["refused"] == 1, "told"
    )

    office.admin.ctl("policy", "remove", "baseline").expect()
    wait_until(lambda: office.device.field("watched_roots") == str(office.folder), "as it was")
    assert office.device.field("policy_version_applied").startswith("local-")

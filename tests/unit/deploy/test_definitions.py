"""Service definitions, scripts of the package and the compose file: valid, and saying what the documents promise."""

import configparser
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from agent.config import load_config

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


class Unit(configparser.ConfigParser):
    """Keys as they are; of a key that comes several times the last is kept."""

    def __init__(self, file: Path) -> None:
        super().__init__(strict=False, interpolation=None)
        self.read(file)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_a_unit_starts_when_it_is_ready_and_starts_again_when_it_ends(file: Path) -> None:
    service = Unit(file)["Service"]
    assert (service["Type"], service["Restart"], service["NotifyAccess"]) == ("notify", "always", "main")
    assert service["NoNewPrivileges"] == "yes"
    assert Unit(file)["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_systemd_understands_every_line(file: Path, tmp_path: Path) -> None:
    # The programs of the package are not here, so others stand for them.
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", file.read_text())
    copy = tmp_path / file.name
    copy.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if file.name in line]
    assert complaints == []


def test_the_agent_is_given_no_right_it_does_not_need() -> None:
    text = (DEPLOY / "systemd/buckler.service").read_text()
    given = set(re.findall(r"CAP_\w+", text))
    assert not given & {"CAP_NET_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_MAC_ADMIN", "CAP_BPF", "CAP_SYS_BOOT"}
    assert {"CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH"} <= given


def test_the_control_plane_is_nobody_special() -> None:
    service = Unit(DEPLOY / "systemd/buckler-server.service")["Service"]
    assert service["User"] == "buckler-server"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"


def test_launchd_and_windows_start_it_with_the_machine() -> None:
    job = plistlib.loads((DEPLOY / "launchd/net.buckler.agent.plist").read_bytes())
    assert job["RunAtLoad"]
    assert job["KeepAlive"]
    host = ET.parse(DEPLOY / "windows/buckler-service.xml")
    assert host.findtext("startmode") == "Automatic"


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_scripts_of_the_package_are_posix_shell_and_stop_at_errors(script: str) -> None:
    file = DEPLOY / "debian" / script
    assert file.read_text().startswith("#!/bin/sh\n")
    assert "\nset -e\n" in file.read_text()
    subprocess.run(["/bin/sh", "-n", str(file)], check=True)


def test_what_the_settings_of_the_package_show_is_valid_and_the_default(tmp_path: Path) -> None:
    from agent.config import Overrides

    text = (DEPLOY / "agent.toml").read_text()
    shown = tmp_path / "shown.toml"
    shown.write_text(re.sub(r"(?m)^#(\[|\w+ = )", r"\1", text))
    as_it_comes, as_shown = (
        load_config(Overrides(tmp_path, file, (), (), None)) for file in (DEPLOY / "agent.toml", shown)
    )
    assert as_shown.schedule == as_it_comes.schedule
    assert as_shown.policy == as_it_comes.policy
    assert as_shown.realtime.source == as_it_comes.realtime.source


# ---------------------------------------------------------------- the compose file

#: Of the compose specification, what our file uses, and the kind of its value.
SERVICE_KEYS: dict[str, type | tuple[type, ...]] = {
    "image": str, "build": dict, "restart": str, "environment": dict, "volumes": list, "ports": list, "networks": list,
    "depends_on": dict, "healthcheck": dict, "read_only": bool, "tmpfs": list, "cap_drop": list, "security_opt": list,
    "stop_grace_period": str,
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture(name="compose")
def compose_file() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_compose_file_has_only_keys_that_compose_knows(compose: Any) -> None:
    assert set(compose) == {"name", "services", "volumes", "networks"}
    for service in compose["services"].values():
        assert set(service) <= set(SERVICE_KEYS)
        for key, value in service.items():
            assert isinstance(value, SERVICE_KEYS[key]), key
        assert set(service["healthcheck"]) <= HEALTH_KEYS
        assert service["healthcheck"]["test"][0] == "CMD"


def test_everything_it_refers_to_is_there(compose: Any) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
    build = services["server"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_database_is_reached_by_the_server_alone_and_has_no_password_of_ours(compose: Any) -> None:
    database, server = compose["services"]["database"], compose["services"]["server"]
    assert "ports" not in database
    assert database["networks"] == ["inside"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert database["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    assert "${POSTGRES_PASSWORD}@database/" in server["environment"]["BUCKLER_SERVER_DATABASE_URL"]


def test_the_image_serves_the_ports_that_are_published(compose: Any) -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    [exposed] = re.findall(r"(?m)^EXPOSE (.*)$", image)
    assert [port.partition(":")[2] for port in compose["services"]["server"]["ports"]] == exposed.split()
    assert all(f"0.0.0.0:{port}" in image for port in exposed.split())
    assert re.search(r"(?m)^USER buckler-server$", image)

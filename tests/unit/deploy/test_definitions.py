"""Service definitions, scripts and settings of the package: valid, and saying what the documents promise."""

import configparser
import plistlib
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.config import load_config
from controlplane.runtime.service_notice import STOP_S

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
    # What it says about its end is reckoned from that.
    assert (service["Type"], service["TimeoutStopSec"]) == ("notify", f"{STOP_S:.0f}s")


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
    from agent.locations import Overrides

    text = (DEPLOY / "agent.toml").read_text()
    shown = tmp_path / "shown.toml"
    shown.write_text(re.sub(r"(?m)^#(\[|\w+ = )", r"\1", text))
    as_it_comes, as_shown = (
        load_config(Overrides(tmp_path, file, (), (), None)) for file in (DEPLOY / "agent.toml", shown)
    )
    assert as_shown.schedule == as_it_comes.schedule
    assert as_shown.policy == as_it_comes.policy
    assert as_shown.realtime.source == as_it_comes.realtime.source

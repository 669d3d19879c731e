from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.domain.errors import BucklerError
from agent.platform.services.windows import WindowsServices, host_file
from tests.fakes.supervisors import FakeSc, no_pause, started


def services_of(tool: FakeSc) -> WindowsServices:
    return WindowsServices(tool, started, no_pause, lambda: True)


def test_the_host_runs_the_command() -> None:
    told = ET.fromstring(host_file(("C:\\A & B\\buckler.exe", "run", "--data-dir", "C:\\My <data>")))
    assert told.findtext("executable") == "C:\\A & B\\buckler.exe"
    assert told.findtext("arguments") == 'run --data-dir "C:\\My <data>"'


def test_without_its_host_nothing_is_installed(tmp_path: Path) -> None:
    tool = FakeSc(tmp_path)
    (tmp_path / "buckler-service.exe").unlink()
    with pytest.raises(BucklerError) as refused:
        services_of(tool).install((str(tmp_path / "buckler.exe"), "run"))
    assert refused.value.code == "SERVICE_HOST_MISSING"
    assert tool.host is None


def test_it_starts_with_the_machine_and_again_after_a_failure(tmp_path: Path) -> None:
    tool = FakeSc(tmp_path)
    services_of(tool).install((str(tmp_path / "buckler.exe"), "run"))
    assert any(command[:3] == ("sc", "failure", "Buckler") for command in tool.commands)
    assert services_of(tool).status().definition == str(tmp_path / "buckler-service.exe")


def test_stopping_waits_until_it_has_stopped(tmp_path: Path) -> None:
    tool = FakeSc(tmp_path)
    services = services_of(tool)
    services.install((str(tmp_path / "buckler.exe"), "run"))
    services.start()
    tool.looks_until_stopped = 5
    services.stop()
    assert tool.looks_until_stopped == 0


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (("0  (0x0)", "0  (0x0)"), ""),
        (("1077  (0x435)", "0  (0x0)"), ""),
        (("1066  (0x42a)", "70  (0x46)"), "exit status 70 (a defect of Buckler)"),
        (("1067  (0x42b)", "0  (0x0)"), "Windows error 1067"),
    ],
)
def test_why_it_ended(tmp_path: Path, codes: tuple[str, str], reason: str) -> None:
    tool = FakeSc(tmp_path)
    services_of(tool).install((str(tmp_path / "buckler.exe"), "run"))
    tool.exit_codes = codes
    assert services_of(tool).status().last_exit == reason

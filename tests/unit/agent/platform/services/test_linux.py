import json
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.domain.services import DefinitionState, ServiceState
from agent.platform.services.linux import Systemd, exit_of_journal, status_of, unit_text
from agent.platform.system_tools import Ran
from tests.fakes.supervisors import FakeSystemctl

COMMAND = ("/opt/buckler/bin/buckler", "run")


def test_a_system_without_systemd_says_so(tmp_path: Path) -> None:
    systemd = Systemd(FakeSystemctl(tmp_path), tmp_path)
    (tmp_path / "run/systemd/system").rmdir()
    with pytest.raises(BucklerError) as refused:
        systemd.status()
    assert refused.value.code == "SERVICE_NO_SUPERVISOR"
    assert "buckler run" in refused.value.next_step


def test_a_unit_of_a_package_is_enabled_and_never_written_or_removed(tmp_path: Path) -> None:
    tool = FakeSystemctl(tmp_path)
    packaged = tmp_path / "usr/lib/systemd/system/buckler.service"
    packaged.write_text("packaged")
    systemd = Systemd(tool, tmp_path, lambda: True)
    assert systemd.definition(COMMAND) is DefinitionState.PACKAGED
    systemd.install(COMMAND)
    assert systemd.status().enabled
    systemd.uninstall()
    assert packaged.read_text() == "packaged"
    assert not systemd.status().enabled
    assert list((tmp_path / "etc/systemd/system").iterdir()) == []


def test_words_of_the_command_mean_themselves() -> None:
    text = unit_text(("/opt/buckler", "--data-dir", '/srv/100% $HOME "a"\\b'))
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert line == 'ExecStart=/opt/buckler --data-dir "/srv/100%% $$HOME \\"a\\"\\\\b"'
    assert "Type=notify" in text


@pytest.mark.parametrize(
    ("said", "last_exit"),
    [
        ({"Result": "watchdog"}, "ended by systemd: it gave no sign of life"),
        ({"Result": "oom-kill"}, "ended by the kernel: memory ran out"),
        ({"ExecMainCode": "1", "ExecMainStatus": "2"}, "exit status 2 (configuration, rules or a watched folder)"),
        ({"ExecMainCode": "2", "ExecMainStatus": "9"}, "ended by signal SIGKILL"),
        ({"ExecMainCode": "3", "ExecMainStatus": "11"}, "ended by signal SIGSEGV, with a core dump"),
        ({"Result": "success"}, "from the journal"),
    ],
)
def test_why_it_ended(said: dict[str, str], last_exit: str) -> None:
    status = status_of({"LoadState": "loaded", **said}, lambda: "from the journal")
    assert status.last_exit == last_exit


@pytest.mark.parametrize(
    ("active", "sub", "state"),
    [
        ("activating", "start", ServiceState.STARTING),
        ("activating", "auto-restart", ServiceState.RESTARTING),
        ("failed", "failed", ServiceState.FAILED),
        ("deactivating", "stop-sigterm", ServiceState.STOPPING),
        ("something new", "", ServiceState.STOPPED),
    ],
)
def test_states(active: str, sub: str, state: ServiceState) -> None:
    assert status_of({"LoadState": "loaded", "ActiveState": active, "SubState": sub}, str).state is state


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"EXIT_CODE": "exited", "EXIT_STATUS": "5"}, "exit status 5 (this machine does not let it: permission"),
        ({"EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}, "ended by signal SIGKILL"),
        ({"EXIT_CODE": "exited", "EXIT_STATUS": "0"}, ""),
        ({}, ""),
    ],
)
def test_the_journal_remembers_what_a_unit_has_forgotten(entry: dict[str, str], reason: str) -> None:
    said = exit_of_journal(Ran(0, json.dumps(entry)))
    assert said.startswith(reason)
    assert bool(said) is bool(reason)


def test_a_journal_that_is_not_for_this_user_is_no_reason() -> None:
    assert exit_of_journal(Ran(1, "", "Permission denied")) == ""

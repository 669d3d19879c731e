import plistlib
from pathlib import Path

from agent.platform.services.macos import Launchd, job_file
from tests.fakes.supervisors import FakeLaunchctl, started


def test_the_job_runs_the_command_and_is_kept_alive() -> None:
    job = plistlib.loads(job_file(("/opt/buckler", "run", "--data-dir", "/a & b")))
    assert job["ProgramArguments"] == ["/opt/buckler", "run", "--data-dir", "/a & b"]
    assert job["KeepAlive"] is True
    assert job["RunAtLoad"] is True


def test_restarts_and_the_reason_are_what_launchd_says(tmp_path: Path) -> None:
    tool = FakeLaunchctl(tmp_path)
    launchd = Launchd(tool, tmp_path, started, lambda: True)
    launchd.install(("/opt/buckler", "run"))
    launchd.start()
    tool.lines = "\truns = 4\n\tlast exit code = 2: ENOENT\n\tjetsam = {\n\t\tstate = other\n\t}\n"
    status = launchd.status()
    assert (status.restarts, status.last_exit) == (3, "exit status 2 (configuration, rules or a watched folder)")
    tool.lines = "\tlast terminating signal = Killed: 9\n"
    assert launchd.status().last_exit == "ended by signal Killed: 9"


def test_a_loaded_job_is_loaded_anew_when_its_definition_changes(tmp_path: Path) -> None:
    tool = FakeLaunchctl(tmp_path)
    launchd = Launchd(tool, tmp_path, started, lambda: True)
    launchd.install(("/opt/old", "run"))
    launchd.start()
    launchd.install(("/opt/new", "run"))
    launchd.start()
    assert tool.program == ["/opt/new", "run"]

"""`buckler run` as a real process on a scratch folder: proven, detecting, restoring, stopping, surviving a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.fakes.eicar import EICAR
from tests.integration.compiled_rules import device_folder
from tests.integration.loaded_programs import Ended, loaded_programs

BUCKLER = str(Path(sys.executable).parent / "buckler")


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


class Protected:
    """A protected folder; the watchdog source needs no privilege."""

    def __init__(self, folder: Path, **more_env: str) -> None:
        self.root, self.data, self.log = folder / "root", folder / "data", folder / "log"
        self.root.mkdir()
        device_folder(self.data)
        self.env = {**os.environ, "BUCKLER_DATA_DIR": str(self.data), "BUCKLER_CONFIG": ""}
        self.env |= {"BUCKLER_REALTIME__SOURCE": "watchdog", "BUCKLER_SCANNER__WORKERS": "1", **more_env}

    def start(self) -> None:
        log: IO[bytes]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([BUCKLER, "run", "--root", str(self.root)], env=self.env, stderr=log)
        wait_for(lambda: b"protected roots=" in self.log.read_bytes() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--output", "json").stdout)

    def run(self, *arguments: str) -> Ended:
        return loaded_programs().run("buckler", arguments, stdin=b"", environment=self.env, timeout_s=60.0)


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Protected]:
    protected = Protected(tmp_path)
    protected.start()
    yield protected
    if protected.process.poll() is None:
        protected.process.kill()
    protected.process.wait()


def test_a_device_that_was_never_activated_is_protected_and_says_so(protected: Protected) -> None:
    wait_for(lambda: bool(protected.ask("status")["healthy"]))
    assert [found for found in protected.ask("doctor")["results"] if found["status"] == "failing"] == []
    status = protected.ask("status")
    assert (status["access"], status["licensed"]) == ("unlicensed", False)
    assert status["watched_roots"] == [str(protected.root)]
    assert status["real_time_protection_proven_at"] is not None
    # The test file that proved it has been scanned.
    costs = protected.ask("scan-costs", "--window", "start")
    assert str(protected.root) in [row["name"] for row in costs["costs"]["folder"]]
    scans = protected.ask("diagnostics", "create", "--preview", "--item", "scans.json")
    assert scans["slowest"]
    assert scans["schedule"]["quick_schedule"] == "off"


def test_a_file_is_taken_restored_for_good_and_not_taken_again(protected: Protected) -> None:
    infected = protected.root / "bad \udcff.com"
    infected.write_bytes(EICAR)
    wait_for(lambda: not infected.exists())
    wait_for(lambda: [row["state"] for row in protected.ask("quarantine", "list")] == ["done"])
    [entry] = protected.ask("quarantine", "list")
    assert entry["original_path"] == str(infected)
    receipt = protected.ask("quarantine", "restore", entry["id"])
    assert receipt["path"] == str(infected)
    time.sleep(1.0)  # long enough to be taken again, were the exclusion not in force before the file appeared
    assert infected.read_bytes() == EICAR
    assert [row["id"] for row in protected.ask("exclusion", "list")] == [receipt["exclusion_id"]]


def test_it_stops_cleanly_when_told_to_and_starts_after_a_kill(protected: Protected) -> None:
    protected.process.send_signal(signal.SIGKILL)
    protected.process.wait()
    infected = protected.root / "meanwhile.com"
    infected.write_bytes(EICAR)
    protected.start()
    wait_for(lambda: not infected.exists())
    protected.process.send_signal(signal.SIGTERM)
    assert protected.process.wait(timeout=60) == 0
    assert not (protected.data / "agent.sock").exists()
    assert protected.ask("quarantine", "list")[0]["original_path"] == str(infected)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what a process runs")
def test_a_running_program_is_taken_and_ended_if_the_configuration_says_so(tmp_path: Path) -> None:
    rules = tmp_path / "marked.yar"
    rules.write_text('rule marked_program { meta: severity = "high" strings: $a = "a marked program" condition: $a }')
    program = tmp_path / "program"
    shutil.copy2("/bin/sleep", program)
    with program.open("ab") as end:
        end.write(b"a marked program")
    protected = Protected(
        tmp_path, BUCKLER_SCANNER__RULES=json.dumps([str(rules)]), BUCKLER_QUARANTINE__STOP_PROCESSES="true"
    )
    protected.start()
    try:
        with subprocess.Popen([program, "60"]) as running:
            program.rename(protected.root / "program")
            assert running.wait(timeout=30) == -signal.SIGTERM
        wait_for(lambda: [row["state"] for row in protected.ask("quarantine", "list")] == ["done"])
        [entry] = protected.ask("quarantine", "list")
        assert entry["detail"] == f"processes started from it: program ({running.pid}) terminated"
    finally:
        protected.process.kill()
        protected.process.wait()


def test_several_files_are_restored_or_destroyed_at_once_and_their_history_tells(protected: Protected) -> None:
    infected = [protected.root / f"{number}.com" for number in range(4)]
    for path in infected:
        path.write_bytes(EICAR)
    wait_for(lambda: [row["state"] for row in protected.ask("quarantine", "list")] == ["done"] * 4)
    ids = {row["original_path"]: row["id"] for row in protected.ask("quarantine", "list")}
    gone = [ids[str(path)] for path in infected[:2]]
    assert protected.ask("quarantine", "delete", *gone) == [{"id": one, "state": "deleted"} for one in gone]
    restored = protected.ask("quarantine", "restore", "--rule", "eicar_test_file")
    assert [row["path"] for row in restored] == [ids_path for ids_path in ids if ids[ids_path] not in gone]
    assert all(path.read_bytes() == EICAR for path in infected[2:])
    shown = protected.ask("quarantine", "show", gone[0])
    assert [(note["event"], note["actor"]) for note in shown["history"]] == [
        ("taken", "real_time"),
        ("deleted", "owner"),
    ]
    refused = protected.run("quarantine", "restore", gone[0], "q_unknown", ids[str(infected[3])])
    assert refused.status == 1
    assert refused.stderr.count(b"QUARANTINE_NOT_HELD") == 2
    assert b"QUARANTINE_UNKNOWN" in refused.stderr


def test_scheduled_scans_are_told_held_and_continued(protected: Protected) -> None:
    protected.process.terminate()
    protected.process.wait()
    protected.env |= {"BUCKLER_SCHEDULE__QUICK": "weekly sunday 03:00"}
    protected.start()
    told = protected.ask("schedule", "status")
    # A device that was never activated has no scheduled scans, and says why.
    assert told["state"] == "not_entitled"
    assert (told["quick_schedule"], told["full_schedule"]) == ("weekly sunday 03:00", "off")
    assert told["next_quick_scan"] is not None
    assert protected.ask("status")["next_quick_scan"] == told["next_quick_scan"]
    assert protected.ask("schedule", "pause")["scan"] is None
    assert protected.ask("schedule", "resume")["state"] == "not_entitled"
    refused = protected.run("schedule", "cancel")
    assert refused.status == 1
    assert refused.stderr.startswith(b"NO_SCAN_TO_CANCEL: ")

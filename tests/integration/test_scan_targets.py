"""What `buckler scan` can look at besides named files, how it is interrupted, and what it says about its costs."""

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.policy import Policy
from tests.fakes.archives import zip_of
from tests.fakes.eicar import EICAR
from tests.integration.compiled_rules import device_folder
from tests.integration.test_scan_command import FakeVault, call, wired

BUCKLER = str(Path(sys.executable).parent / "buckler")
SINCE = datetime(2026, 3, 2, tzinfo=UTC)
#: In processes of its own, and with a `/proc` that shows only those: a victim, then a scan.
_IN_A_NAMESPACE = r"""
content=$1; shift
sleep 600 | "$PYTHON" -I -S -c "
import sys
held = bytes.fromhex(sys.argv[1])
open(sys.argv[2], 'w').close()
sys.stdin.read()" "$content" "$READY" &
while [ ! -e "$READY" ]; do sleep 0.05; done
"$@"
"""


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_threat_in_the_memory_of_a_process_is_found_and_left_running(tmp_path: Path) -> None:
    allowed = subprocess.run(["unshare", "--pid", "--mount-proc", "--fork", "true"], check=False, capture_output=True)
    if allowed.returncode:
        pytest.skip("needs root with namespaces")
    command = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-c", _IN_A_NAMESPACE, "sh"]
    command += [EICAR.hex(), BUCKLER, "scan", "--processes", "--quarantine", "--verbose", "--output", "json"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHON": sys.executable,
        "READY": str(tmp_path / "ready"),
        "BUCKLER_DATA_DIR": str(device_folder(tmp_path / "data")),
    }
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    *processes, summary = lines(outcome.stdout)
    infected = [process for process in processes if process["verdict"] == "infected"]
    assert outcome.returncode == 1, outcome.stderr
    assert len(infected) == 1
    assert infected[0]["type"] == "process"
    assert Path(infected[0]["executable"]).samefile(sys.executable)
    assert infected[0]["action"].startswith("left_running")
    assert {finding["rule"] for finding in infected[0]["findings"]} == {"eicar_embedded"}
    assert summary["files"] == len(processes)
    assert summary["errors"] == 0


def test_ctrl_c_ends_with_a_summary_of_what_was_done(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(4_000):
        (folder / str(number)).write_text("x")
    command = [BUCKLER, "scan", str(folder), "--no-cache", "--jobs", "1", "--verbose", "--output", "json"]
    command += ["--data-dir", str(device_folder(tmp_path / "data"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.stdout.read(), process.stderr.read()
    summary = lines(rest)[-1]
    assert (summary["type"], summary["interrupted"]) == ("summary", True)
    assert 0 < summary["files"] < 4_000
    assert summary["files"] == summary["clean"]
    assert process.returncode == 3
    assert "Traceback" not in said


def test_what_is_allowed_and_what_is_excluded_is_counted(tmp_path: Path) -> None:
    (tmp_path / "allowed").write_bytes(EICAR)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "e").write_bytes(EICAR)
    (tmp_path / "clean").write_text("x")
    policy = Policy(
        exclusions=(
            Exclusion("exc_1", ExclusionKind.RULE, "eicar_test_file", "a test", SINCE),
            Exclusion("exc_2", ExclusionKind.PATH, str(tmp_path / "folder"), "mine", SINCE),
        )
    )
    outcome = call(tmp_path, "--output", "json", command=wired(FakeVault(), policy))
    record, summary = outcome.records
    assert (record["verdict"], record["reasons"], record["findings"]) == ("clean", ["excluded:exc_1"], [])
    assert (summary["files"], summary["allowed"], summary["excluded"]) == (2, 1, 1)
    assert outcome.status == 0


def test_an_exclusion_that_has_expired_allows_nothing(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    expired = Exclusion("exc_1", ExclusionKind.RULE, "eicar_test_file", "a test", SINCE, SINCE)
    assert call(tmp_path, command=wired(FakeVault(), Policy(exclusions=(expired,)))).status == 1


def test_a_profile_names_the_costliest_file_format_and_rule(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yar"
    cheap = "\n".join(f'rule cheap{n} {{ strings: $a = "nothing{n}" condition: $a }}' for n in range(6))
    costly = "rule costly { condition: for all j in (0..7) : (for all i in (0..100000) : (uint8(i) < 256 + j)) }"
    rules.write_text(cheap + "\n" + costly)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "large.zip").write_bytes(zip_of({"inner": bytes(500_000)}))
    (folder / "small").write_text("x")
    outcome = call(folder, "--rules", rules, "--profile", "--jobs", "1", "--output", "json")
    profile = next(record for record in outcome.records if record["type"] == "profile")
    assert Path(profile["files"][0]["path"]).name == "large.zip"
    assert profile["rules"][0]["first"] == "rules.costly"
    assert {cost["name"] for cost in profile["spent"]} >= {"matching", "zip"}
    assert "an engine cannot time a single rule" in profile["method"]
    text = call(folder, "--rules", rules, "--profile", "--jobs", "1").out
    assert "profile rule : " in text
    assert "rules.costly" in text


@pytest.mark.timeout(180)
def test_a_gentle_scan_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "e").write_bytes(EICAR)
    command = [BUCKLER, "scan", str(tmp_path / "e"), "--background", "--output", "json"]
    outcome = subprocess.run(
        [*command, "--data-dir", str(device_folder(tmp_path / "data"))], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 1, outcome.stderr
    assert lines(outcome.stdout)[-1]["infected"] == 1

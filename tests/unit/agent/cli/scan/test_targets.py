from pathlib import Path

import pytest

from agent.cli.scan.progress import counts_text
from agent.cli.scan.request import ScanDefaults, Selection
from agent.cli.scan.targets import choose_selection, find_targets
from agent.domain.errors import BucklerError, ExitStatus
from agent.platform.file_systems import SkipReason
from agent.scanner.scan_report import Tally
from agent.scanner.walk.count import Amount


def choose(
    *paths: str, quick: bool = False, full: bool = False, processes: bool = False, network: bool = False
) -> Selection:
    return choose_selection(paths, quick=quick, full=full, processes=processes, network=network)


def test_one_of_four_is_scanned() -> None:
    assert choose("/x") is Selection.PATHS
    assert choose(quick=True) is Selection.QUICK
    assert choose(full=True, network=True) is Selection.FULL
    assert choose(processes=True) is Selection.PROCESSES


@pytest.mark.parametrize(
    ("wanted", "code", "named"),
    [
        ({}, "SCAN_TARGET_MISSING", "nothing"),
        ({"network": True}, "SCAN_TARGET_MISSING", "nothing"),
        ({"quick": True, "full": True}, "SCAN_TARGETS_CLASH", "--quick and --full"),
        ({"quick": True, "network": True}, "SCAN_TARGETS_CLASH", "--network-filesystems"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_sentence(wanted: dict[str, bool], code: str, named: str) -> None:
    with pytest.raises(BucklerError, match=named) as refused:
        choose(**wanted)
    assert (refused.value.code, refused.value.exit_status) == (code, ExitStatus.BAD_INPUT)


def test_a_path_beside_a_place_is_refused() -> None:
    with pytest.raises(BucklerError, match="PATH and --processes"):
        choose("/x", processes=True)


def test_a_full_scan_names_what_it_leaves_out_our_own_folder_included(tmp_path: Path) -> None:
    targets = find_targets(Selection.FULL, (), ScanDefaults(own_folders=(str(tmp_path),)), network=False)
    reasons = {folder.path: folder.reason for folder in targets.skipped}
    assert reasons[str(tmp_path)] is SkipReason.OWN
    assert reasons.get("/proc") is SkipReason.PSEUDO


def test_where_memory_cannot_be_read_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.platform.processes.memory.can_read_processes", lambda: False)
    with pytest.raises(BucklerError, match="Linux only") as refused:
        find_targets(Selection.PROCESSES, (), ScanDefaults(), network=False)
    assert (refused.value.code, refused.value.exit_status) == ("PROCESSES_UNAVAILABLE", ExitStatus.ENVIRONMENT)


def test_the_bar_counts_and_says_how_long_it_will_take() -> None:
    tally = Tally(files=1200, bytes=5 << 20, infected=1)
    assert counts_text(tally, None, None) == "1,200 files, 5 MiB, 1 found"
    assert counts_text(tally, Amount(2400, 1), 75.4) == "1,200 of 2,400 files, 5 MiB, 1 found, 0:01:15 left"
    assert counts_text(tally, Amount(3, 1), 0.0).startswith("1,200 of 1,200 files")

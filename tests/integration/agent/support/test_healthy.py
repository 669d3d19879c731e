"""A healthy device: nothing fails, nothing warns, nothing is changed."""

from pathlib import Path

from agent.support.checkup import Status
from tests.fakes.patient import Patient


def photograph(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: mode, time of change, content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def test_a_healthy_device_has_no_finding_and_is_left_as_it_was(patient: Patient) -> None:
    before = photograph(patient.data_dir)
    report = patient.examine()
    findings = [(result.check, result.code, result.evidence) for result in report.results if result.code != "OK"]
    assert findings == []
    assert report.first_code == "OK"
    assert all(result.status is Status.PASSING for result in report.results)
    assert photograph(patient.data_dir) == before


def test_fix_changes_nothing_on_a_healthy_device(patient: Patient) -> None:
    before = photograph(patient.data_dir)
    assert patient.examine(fix=True).fixed == {}
    assert photograph(patient.data_dir) == before


def test_a_control_plane_too_old_to_be_asked_is_no_fault(patient: Patient) -> None:
    patient.plane.version = ""
    report = patient.examine()
    assert [result.check for result in report.results if result.status is not Status.PASSING] == ["versions"]
    assert report.first_code == "OK"


def test_a_device_that_was_never_activated_has_no_fault_but_the_missing_agent(patient: Patient) -> None:
    patient.data_dir, patient.facts = patient.data_dir.with_name("new"), None
    report = patient.examine()
    assert [result.code for result in report.results if result.status is Status.FAILING] == ["AGENT_NOT_RUNNING"]
    assert not patient.data_dir.exists()

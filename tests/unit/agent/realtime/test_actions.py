import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.domain.facts import Finding, ScanFacts, Severity
from agent.domain.incident import IncidentAction, Origin
from agent.platform.files.regular_files import OpenedFile, identity_of, open_regular
from agent.realtime.actions import not_taken, reported, take
from agent.realtime.commands import Capture, CaptureFinished, Record
from tests.fakes.clock import FakeClock
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness

FACTS = ScanFacts("aa", 3, findings=(Finding("EICAR", "test", Severity.HIGH),))


class Case:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "bad"
        self.path.write_bytes(b"bad")
        opened = open_regular(str(self.path))
        assert opened is not None
        self.opened: OpenedFile = opened
        self.quarantine = FakeQuarantine(folder / "vault")

    def command(self, *names: Path) -> Capture:
        paths = tuple(str(name) for name in names or (self.path,))
        origin = Origin.REAL_TIME
        return Capture(4, self.opened.descriptor, paths, self.opened.identity, FACTS, FACTS.findings, origin)

    async def take(self, *names: Path) -> CaptureFinished:
        return await take(self.command(*names), self.quarantine, FakeClock(), SeededRandomness())


@pytest.fixture(name="case")
def infected(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    yield case
    os.close(case.opened.descriptor)


async def test_the_file_is_taken_as_it_was_scanned(case: Case) -> None:
    assert await case.take() == CaptureFinished(4, frozenset({str(case.path)}), changed=False)
    assert case.quarantine.captured[0].identity == case.opened.identity


async def test_a_name_that_now_means_another_file_is_not_taken(case: Case, tmp_path: Path) -> None:
    case.path.rename(tmp_path / "moved")
    case.path.write_bytes(b"innocent")
    finished = await case.take(case.path, tmp_path / "moved")
    assert case.path.read_bytes() == b"innocent"
    # Moving it changed its ctime: whether it is still what was scanned is decided by a new look.
    assert finished == CaptureFinished(4, frozenset(), changed=True)


async def test_a_file_that_was_written_to_since_is_left_for_a_new_look(case: Case) -> None:
    case.path.write_bytes(b"something else")
    assert await case.take() == CaptureFinished(4, frozenset(), changed=True)
    assert case.quarantine.captured == []


async def test_a_file_that_is_gone_is_told_to_the_vault_which_says_so(case: Case) -> None:
    case.path.unlink()
    case.opened = OpenedFile(case.opened.descriptor, identity_of(os.fstat(case.opened.descriptor)), 0)
    assert await case.take() == CaptureFinished(4, frozenset(), changed=False)
    assert [entry.detail for entry in case.quarantine.entries.values()] == ["vanished"]


def test_the_same_finding_in_the_same_file_is_the_same_incident(case: Case) -> None:
    def record(path: str) -> Record:
        return Record(path, case.opened.identity, FACTS, FACTS.findings, Origin.REAL_TIME, blocked=False)

    first, again = reported(record("/a"), FakeClock()), reported(record("/a"), FakeClock())
    assert first.uuid == again.uuid
    assert first.action is IncidentAction.REPORTED
    assert reported(record("/b"), FakeClock()).uuid != first.uuid


def test_a_failed_capture_keeps_the_reason(case: Case) -> None:
    incident = not_taken(case.command(), "OSError", FakeClock(), SeededRandomness())
    assert (incident.action, incident.action_detail) == (IncidentAction.QUARANTINE_FAILED, "OSError")

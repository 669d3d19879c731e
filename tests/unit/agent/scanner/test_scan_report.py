import json
import os

import pytest

from agent.domain.errors import ExitStatus
from agent.domain.facts import Finding, Incomplete, ScanFacts, Severity
from agent.domain.policy import Action, Decision, Verdict
from agent.scanner.scan_report import (
    Closing,
    ScannedFile,
    Tally,
    exit_status,
    file_line,
    file_record,
    printable,
    summary_lines,
    summary_record,
)

FINDING = Finding("r", "web/php", Severity.HIGH, ("a.zip", "b/c.txt"), "Bad.Thing")
FACTS = ScanFacts("ab" * 32, 10, (FINDING,), (Incomplete("max_depth", 3, ("a.zip", "z")),), elapsed_ms=1.23456)
INFECTED = ScannedFile("/x/a.zip", FACTS, Verdict(Decision.INFECTED, Action.REPORT, (FINDING,), ("rule:web/php.r",)))


def test_a_record_has_every_field_of_the_contract() -> None:
    record = file_record(INFECTED)
    assert record == {
        "type": "file",
        "path": "/x/a.zip",
        "verdict": "infected",
        "reasons": ["rule:web/php.r"],
        "findings": [
            {
                "rule": "r",
                "namespace": "web/php",
                "severity": "high",
                "threat_name": "Bad.Thing",
                "member": "a.zip!b/c.txt",
            }
        ],
        "incomplete": [{"reason": "max_depth", "limit": 3, "member": "a.zip!z"}],
        "sha256": "ab" * 32,
        "size": 10,
        "cached": False,
        "elapsed_ms": 1.235,
    }


def test_a_path_of_any_bytes_comes_back_from_json_exactly() -> None:
    raw = b"/x/\xff\xfe\n\xe6\xbc\xa2"
    file = ScannedFile(os.fsdecode(raw), FACTS, INFECTED.verdict)
    assert os.fsencode(json.loads(json.dumps(file_record(file)))["path"]) == raw


def test_a_line_of_text_tells_verdict_finding_member_and_limit() -> None:
    assert file_line(INFECTED) == (
        "/x/a.zip: infected: Bad.Thing (high, web/php.r) in a.zip!b/c.txt; max_depth 3 in a.zip!z"
    )


@pytest.mark.parametrize("path", ["/x/a\nb", "/x/\x1b[2J", os.fsdecode(b"/x/\xff"), "/x/\u202egnp.exe", "/x/\x00"])
def test_a_line_stays_one_printable_line_whatever_the_name(path: str) -> None:
    line = file_line(ScannedFile(path, FACTS, INFECTED.verdict))
    assert line.isprintable()
    assert line.encode()


def test_ordinary_text_is_left_as_it_is() -> None:
    assert printable("/home/zoë/漢字 (1).txt") == "/home/zoë/漢字 (1).txt"


def test_the_summary_counts_and_names_engine_and_signatures() -> None:
    tally = Tally()
    tally.add(INFECTED)
    closing = Closing(1.5, "yara 4", "7")
    record = summary_record(tally, closing)
    assert (record["files"], record["bytes"], record["infected"], record["clean"]) == (1, 10, 1, 0)
    assert (record["engine"], record["signatures"], record["elapsed_s"]) == ("yara 4", "7", 1.5)
    assert "files : 1" in summary_lines(tally, closing)


@pytest.mark.parametrize(
    ("tally", "status"),
    [
        (Tally(), ExitStatus.OK),
        (Tally(files=2, clean=2), ExitStatus.OK),
        (Tally(incomplete=1), ExitStatus.INCOMPLETE),
        (Tally(errors=1, incomplete=1), ExitStatus.BAD_INPUT),
        (Tally(infected=1, errors=1, incomplete=1), ExitStatus.NEGATIVE),
    ],
)
def test_the_exit_status_is_the_first_that_applies(tally: Tally, status: ExitStatus) -> None:
    assert exit_status(tally) is status

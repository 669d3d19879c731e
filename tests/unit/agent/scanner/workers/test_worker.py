import hashlib
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Iterator

import pytest

from agent.domain.facts import Finding, Incomplete, Severity
from agent.platform.clock import SystemClock
from agent.scanner.engines.port import MatchTimeoutError
from agent.scanner.limits import Limits
from agent.scanner.workers import protocol
from agent.scanner.workers.worker import FileScan, Worker, prepare_for_confinement, scan_descriptor
from tests.fakes.archives import zip_of
from tests.fakes.eicar import EICAR
from tests.fakes.matcher import FakeMatcher


def scan(data: bytes, matcher: FakeMatcher, limits: Limits | None = None) -> protocol.Answer:
    return FileScan(matcher, limits or Limits(), SystemClock().monotonic_ns).run(data, "/home/a/file.bin")


def test_a_clean_file_is_hashed_and_has_nothing_to_say() -> None:
    answer = scan(b"hello", FakeMatcher())
    assert answer == protocol.Answer(hashlib.sha256(b"hello").hexdigest(), 5)


def test_findings_name_the_member_from_the_outermost_container_on() -> None:
    answer = scan(zip_of({"b/c.txt": EICAR}), FakeMatcher())
    assert Finding("eicar", "fake", Severity.HIGH, ("file.bin", "b/c.txt"), "EICAR") in answer.findings


@pytest.mark.parametrize(
    ("stated", "severity"), [("", Severity.HIGH), ("nonsense", Severity.HIGH), ("LOW", Severity.LOW)]
)
def test_a_rule_that_states_no_known_severity_counts_as_high(stated: str, severity: Severity) -> None:
    assert scan(EICAR, FakeMatcher(stated)).findings[0].severity is severity


def test_an_engine_that_runs_out_of_time_makes_the_file_incomplete() -> None:
    matcher = FakeMatcher()
    matcher.failure = MatchTimeoutError()
    assert scan(b"x", matcher, Limits(timeout_s=2.5)).incomplete == (Incomplete("timeout", 3),)


def test_an_engine_that_runs_out_of_memory_makes_the_file_incomplete() -> None:
    matcher = FakeMatcher()
    matcher.failure = MemoryError()
    assert scan(b"x", matcher).incomplete == (Incomplete("worker_out_of_memory"),)


def test_an_engine_that_fails_makes_the_file_incomplete() -> None:
    matcher = FakeMatcher()
    matcher.failure = RuntimeError("internal error 30")
    assert scan(b"x", matcher).incomplete == (Incomplete("engine_error"),)


def test_a_descriptor_that_cannot_be_read_is_an_error() -> None:
    reading, writing = os.pipe()
    try:
        answer = scan_descriptor(reading, 0, "/x", FakeMatcher(), Limits())
    finally:
        os.close(reading)
        os.close(writing)
    assert answer.error == "unreadable"


def test_a_file_over_the_limit_is_not_looked_at() -> None:
    matcher = FakeMatcher()
    with tempfile.TemporaryFile() as file:
        file.write(EICAR)
        file.flush()
        answer = scan_descriptor(file.fileno(), 68, "/x", matcher, Limits(max_file_size=67))
    assert answer.incomplete == (Incomplete("max_file_size", 67),)
    assert matcher.seen == []


def answer_on(channel: socket.socket) -> protocol.Answer:
    """The next answer, as a parent reads it."""
    header = channel.recv(protocol.FRAME_HEADER_BYTES, socket.MSG_WAITALL)
    return protocol.decode_answer(channel.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL))


def test_a_worker_answers_file_by_file_until_its_parent_hangs_up() -> None:
    ours, theirs = socket.socketpair()
    worker = threading.Thread(target=Worker(theirs, FakeMatcher(), Limits()).serve)
    worker.start()
    answers: list[protocol.Answer] = []
    with ours, tempfile.TemporaryFile() as file:
        file.write(EICAR)
        file.flush()
        for _ in range(2):
            request = protocol.frame(protocol.encode_request(68, 0, "/tmp/e\udcff.com"))
            socket.send_fds(ours, [request], [file.fileno()])
            answers.append(answer_on(ours))
    worker.join(timeout=60)
    theirs.close()
    assert not worker.is_alive()
    assert [answer.findings[0].rule for answer in answers] == ["eicar", "eicar"]


@pytest.mark.parametrize("itemise", [True, False])
def test_where_the_time_went_is_told_of_slow_files_or_when_it_is_asked_for(itemise: bool) -> None:  # noqa: FBT001
    ours, theirs = socket.socketpair()
    worker = threading.Thread(target=Worker(theirs, FakeMatcher(), Limits(), itemise=itemise).serve)
    worker.start()
    with ours, tempfile.TemporaryFile() as file:
        file.write(zip_of({"inner": b"x"}))
        file.flush()
        request = protocol.frame(protocol.encode_request(0, 0, "/a.zip"))
        socket.send_fds(ours, [request], [file.fileno()])
        answer = answer_on(ours)
    worker.join(timeout=60)
    theirs.close()
    # This file takes no quarter of a second, unless the machine is very busy.
    told = {cost.name for cost in answer.costs}
    assert told == {"reading", "matching", "zip"} or (not itemise and told == set())


@pytest.fixture
def heard_again() -> Iterator[None]:
    """A worker switches logging off for good; tests go on after it."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("heard_again")
def test_the_rehearsal_reaches_the_innermost_file() -> None:
    matcher = FakeMatcher()
    prepare_for_confinement(matcher)
    assert matcher.seen[-1][0] == b"x" * 1000

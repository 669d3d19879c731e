import json
from typing import Any

import pytest

from agent.domain.facts import Cost, Finding, Incomplete, Severity
from agent.platform.sandbox.hardening import MissingLayer, SandboxReport
from agent.scanner.limits import Limits
from agent.scanner.workers import protocol
from agent.scanner.workers.protocol import Answer, Hello, ProtocolError, WorkerOrders, decode_answer, decode_hello

ANSWER = Answer(
    "a" * 64,
    12,
    (Finding("r", "n/s", Severity.LOW, ("a.zip", "b\udcff\n"), "T"),),
    (Incomplete("max_depth", 3, ("a.zip",)), Incomplete("encrypted")),
)


def altered(**changes: Any) -> bytes:
    return json.dumps(json.loads(protocol.encode_answer(ANSWER)) | changes).encode()


def test_an_answer_survives_the_way_with_every_byte_of_its_names() -> None:
    assert decode_answer(protocol.encode_answer(ANSWER)) == ANSWER


def test_orders_survive_the_way() -> None:
    orders = WorkerOrders("yara", Limits(max_depth=3), 1000, 60, 42)
    assert protocol.decode_orders(protocol.encode_orders(orders)) == orders


def test_a_hello_survives_the_way() -> None:
    hello = Hello(SandboxReport(("a",), (MissingLayer("b", "no"),)), 7)
    assert decode_hello(protocol.encode_hello(hello)) == hello


def test_a_worker_that_cannot_start_gives_its_reason() -> None:
    with pytest.raises(ProtocolError, match="no memory"):
        decode_hello(protocol.encode_failure("no memory"))


@pytest.mark.parametrize(
    "untrusted",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"{}",
        altered(sha256="A" * 64),
        altered(sha256="a" * 63),
        altered(sha256=None),
        altered(size=-1),
        altered(size=True),
        altered(size=1.5),
        altered(size=1 << 63),
        altered(error="Not A Code"),
        altered(error=None),
        altered(findings={}),
        altered(findings=[["r", "n", "mild", [], ""]]),
        altered(findings=[["r", "n", "low", []]]),
        altered(findings=[["r", "n", "low", "a.zip", ""]]),
        altered(findings=[["r" * 2000, "n", "low", [], ""]]),
        altered(findings=[["r", "n", "low", ["x"] * 1000, ""]]),
        altered(findings=[["r", "n", "low", [], ""]] * 501),
        altered(incomplete=[["max depth", 1, []]]),
        altered(incomplete=[["max_depth", "1", []]]),
        altered(incomplete=[["max_depth", -1, []]]),
        altered(incomplete=[[["max_depth"], None, []]]),
        altered(incomplete=[["max_depth", None, []]] * 101),
    ],
)
def test_whatever_is_not_exactly_an_answer_is_refused(untrusted: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(untrusted)


def test_an_answer_with_too_much_in_it_is_trimmed_and_still_valid() -> None:
    finding = Finding("r", "n", Severity.HIGH, ("x" * 5000,) * 3)
    big = Answer("", 0, (finding,) * 10_000, (Incomplete("damaged", None, ("y" * 5000,)),) * 10_000)
    payload = protocol.encode_answer(big)
    assert len(payload) <= protocol.MAX_ANSWER_BYTES
    decoded = decode_answer(payload)
    assert 0 < len(decoded.findings) <= protocol.MAX_FINDINGS
    assert 0 < len(decoded.incomplete) <= protocol.MAX_INCOMPLETE


def test_the_largest_answer_a_worker_can_give_fits_the_frame() -> None:
    worst = "\U0001f600" * protocol.MAX_NAME
    depth = 66
    finding = Finding(worst, worst, Severity.HIGH, (worst,) * depth, worst)
    payload = protocol.encode_answer(
        Answer("", 0, (finding,) * 500, (Incomplete("damaged", None, (worst,) * depth),) * 9)
    )
    assert len(payload) <= protocol.MAX_ANSWER_BYTES
    decoded = decode_answer(payload)
    assert decoded.findings
    assert decoded.incomplete


def test_a_clean_file_takes_a_short_answer() -> None:
    answer = Answer("ab" * 32, 1 << 40)
    encoded = protocol.encode_answer(answer)
    assert len(encoded) < 48
    assert decode_answer(encoded) == answer
    for untrusted in (encoded[:-1], encoded + b"x", b"\1" + encoded[1:], encoded[:33] + b"\xff" * 8):
        with pytest.raises(ProtocolError):
            decode_answer(untrusted)


def test_a_file_that_matches_rules_takes_a_short_answer() -> None:
    findings = (Finding("r", "n/s", Severity.LOW, (), "T\xe9"), Finding("r2", "", Severity.HIGH))
    answer = Answer("ab" * 32, 1 << 40, findings)
    encoded = protocol.encode_answer(answer)
    assert len(encoded) < 80
    assert decode_answer(encoded) == answer
    too_many, no_severity = encoded + (b"\0" + encoded[41:]) * 4, encoded.replace(b"low", b"mild")
    for untrusted in (encoded[:40], encoded[:41], encoded + b"\0", encoded + b"\xff", no_severity, too_many):
        with pytest.raises(ProtocolError):
            decode_answer(untrusted)
    with pytest.raises(ProtocolError):
        decode_answer(encoded[:33] + b"\xff" * 8 + encoded[41:])
    with pytest.raises(ProtocolError):
        decode_answer(encoded + b"x" * (protocol.MAX_NAME + 1))


@pytest.mark.parametrize("name", ["zero\0", "lone \udcff", "x" * 2000])
def test_names_that_fit_no_short_answer_survive_the_way_as_far_as_any_do(name: str) -> None:
    answer = Answer("ab" * 32, 1, (Finding(name, "n", Severity.LOW),))
    (decoded,) = decode_answer(protocol.encode_answer(answer)).findings
    assert decoded.rule == name[: protocol.MAX_NAME]


def test_a_birth_survives_the_way_and_a_failure_is_told() -> None:
    assert protocol.decode_birth(protocol.encode_birth(4711)) == 4711
    for message, reason in ((protocol.encode_failed_birth("no rules"), "no rules"), (b"", "ended by itself")):
        with pytest.raises(ProtocolError, match=reason):
            protocol.decode_birth(message)


def test_where_the_time_went_survives_the_way() -> None:
    costs = (Cost("matching", 1234, 5), Cost("zip", 0, 1))
    for digest in ("", "ab" * 32):
        assert decode_answer(protocol.encode_answer(Answer(digest, 0, costs=costs))).costs == costs


@pytest.mark.parametrize("costs", [7, [7], [["zip", 1]], [["zip", -1, 1]], [["zip", 1.5, 1]], [["z", 1, 1]] * 201])
def test_costs_that_make_no_sense_are_refused(costs: Any) -> None:
    fields = json.loads(protocol.encode_answer(Answer("", 0))) | {"costs": costs}
    with pytest.raises(ProtocolError):
        decode_answer(json.dumps(fields).encode())

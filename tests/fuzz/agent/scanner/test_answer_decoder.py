"""A worker that was taken over can send anything; the parent's decoder accepts answers or refuses, nothing else."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from agent.domain.facts import Finding, Incomplete, Severity
from agent.scanner.workers.protocol import Answer, ProtocolError, decode_answer, decode_hello, encode_answer

VALID = encode_answer(
    Answer("a" * 64, 1, (Finding("r", "n", Severity.LOW, ("a", "b"), "t"),), (Incomplete("damaged", 1, ("a",)),))
)
FOUND = encode_answer(Answer("a" * 64, 1, (Finding("r", "n", Severity.LOW, (), "t"),)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=12,
)
FIELDS = st.sampled_from(["sha256", "size", "findings", "incomplete", "error", "sandbox", "rule_count", "failed"])


def accepts_or_refuses(untrusted: bytes) -> None:
    for decode in (decode_answer, decode_hello):
        try:
            decode(untrusted)
        except ProtocolError:
            continue


@given(st.binary(max_size=300))
@example(b"[" * 50_000)
@example(b"1" * 10_000)
def test_any_bytes(untrusted: bytes) -> None:
    accepts_or_refuses(untrusted)
    assert isinstance(untrusted, bytes)


@given(st.dictionaries(FIELDS, JSON))
def test_any_object_with_the_right_fields(fields: dict[str, object]) -> None:
    accepts_or_refuses(json.dumps({**json.loads(VALID), **fields}).encode())
    assert fields is not None


@given(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=3))
def test_a_valid_answer_with_a_few_bytes_replaced(at: int, replacement: bytes) -> None:
    accepts_or_refuses(VALID[:at] + replacement + VALID[at + len(replacement) :])
    assert decode_answer(VALID).sha256


@given(st.integers(0, len(FOUND) - 1), st.binary(min_size=1, max_size=3))
def test_a_short_answer_with_a_few_bytes_replaced(at: int, replacement: bytes) -> None:
    accepts_or_refuses(FOUND[:at] + replacement + FOUND[at + len(replacement) :])
    assert decode_answer(FOUND).findings

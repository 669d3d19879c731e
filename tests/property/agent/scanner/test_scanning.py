"""Whatever is packed however, it is found, or it is said what stopped us."""

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.errors import ExitStatus
from agent.domain.facts import Finding, Incomplete, Severity
from agent.platform.clock import SystemClock
from agent.scanner.limits import Limits
from agent.scanner.scan_report import Tally, exit_status
from agent.scanner.workers.protocol import Answer, decode_answer, encode_answer
from agent.scanner.workers.worker import FileScan
from tests.fakes.archives import shrink, tar_of, zip_of
from tests.fakes.eicar import EICAR
from tests.fakes.matcher import FakeMatcher

#: A way to wrap a content once; the wrapping hides it, so that only unpacking can find it.
WRAPPINGS = st.sampled_from(
    [
        lambda data: zip_of({"first.txt": b"hello", "second": data}),
        lambda data: shrink(tar_of({"a/b": data, "c": b""}), "gz"),
        lambda data: shrink(data, "gz"),
        lambda data: shrink(data, "bz2"),
        lambda data: shrink(data, "xz"),
    ]
)
NAMES = st.text(st.characters(), max_size=40)
COUNTS = st.integers(0, 3)


def scan(data: bytes, limits: Limits) -> Answer:
    return FileScan(FakeMatcher(), limits, SystemClock().monotonic_ns).run(data, "/x")


@given(st.lists(WRAPPINGS, max_size=4))
def test_a_threat_is_found_however_it_is_wrapped(wrappings: list) -> None:  # type: ignore[type-arg]
    data = EICAR
    for wrap in wrappings:
        data = wrap(data)
    answer = scan(data, Limits())
    assert answer.findings
    assert answer.incomplete == ()


@given(
    st.lists(WRAPPINGS, min_size=1, max_size=3),
    st.integers(0, 4),
    st.integers(0, 6),
    st.integers(0, 3000),
    st.integers(60, 2000),
)
def test_a_threat_that_no_limit_lets_us_see_leaves_the_file_incomplete(
    wrappings: list,  # type: ignore[type-arg]
    max_depth: int,
    max_members: int,
    max_expanded_size: int,
    max_file_size: int,
) -> None:
    data = EICAR
    for wrap in wrappings:
        data = wrap(data)
    limits = Limits(max_file_size, max_depth, max_members, max_expanded_size)
    answer = scan(data, limits)
    assert answer.findings or answer.incomplete
    for item in answer.incomplete:
        assert item.limit == getattr(limits, item.reason)


@given(
    st.lists(st.builds(Finding, NAMES, NAMES, st.sampled_from(Severity), st.tuples(NAMES, NAMES), NAMES), max_size=5),
    st.lists(
        st.builds(Incomplete, st.just("damaged"), st.none() | st.integers(0, 1 << 62), st.tuples(NAMES)), max_size=5
    ),
    st.integers(0, 1 << 62),
)
def test_every_answer_comes_through_unchanged(findings: list[Finding], incomplete: list[Incomplete], size: int) -> None:
    answer = Answer("0" * 64, size, tuple(findings), tuple(incomplete), "")
    assert decode_answer(encode_answer(answer)) == answer


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_exit_status_is_zero_only_if_all_is_clean(clean: int, infected: int, incomplete: int, errors: int) -> None:
    tally = Tally(clean=clean, infected=infected, incomplete=incomplete, errors=errors)
    assert (exit_status(tally) is ExitStatus.OK) == (infected + incomplete + errors == 0)
    assert (exit_status(tally) is ExitStatus.NEGATIVE) == (infected > 0)

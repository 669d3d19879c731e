from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.scanner.walk.count import Amount, TreeCount, seconds_left
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import until

SIZES = st.integers(0, 1 << 40)


async def test_everything_that_will_be_scanned_is_counted(tmp_path: Path) -> None:
    for name in ("a", "in/b", "in/deep/c", "left/out"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    named = [str(tmp_path / "in"), str(tmp_path / "a"), str(tmp_path / "left"), str(tmp_path / "gone")]
    count = TreeCount(named, lambda path: path.endswith("out"), FakeClock(), begin_after_s=0)
    count.start()
    await until(lambda: count.total is not None)
    count.stop()
    assert count.total == Amount(3, 15)


def test_a_scan_that_ends_soon_is_not_counted() -> None:
    count = TreeCount(["/"], lambda _path: False, FakeClock(), begin_after_s=3600)
    count.start()
    count.stop()
    assert count.total is None


def test_time_left_follows_files_and_bytes_alike() -> None:
    total = Amount(100, 1000)
    assert seconds_left(Amount(50, 500), total, 10) == pytest.approx(10)
    assert seconds_left(Amount(100, 1000), total, 10) == 0
    assert seconds_left(Amount(100, 0), total, 10) == pytest.approx(10)
    assert seconds_left(Amount(0, 0), total, 10) is None
    assert seconds_left(Amount(5, 5), None, 10) is None


@given(st.integers(1, 10**7), SIZES, st.integers(0, 10**7), SIZES, st.floats(0, 1e6))
def test_time_left_is_never_negative_and_always_a_number(
    files: int, size: int, total_files: int, total_size: int, elapsed_s: float
) -> None:
    left = seconds_left(Amount(files, size), Amount(total_files, total_size), elapsed_s)
    assert left is None or 0 <= left < float("inf")

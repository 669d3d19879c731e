"""A sealed file is hostile once it has been on a disk: it is refused, or it is exactly what it was."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.quarantine.inert import DamagedSealError, seal, unseal

KEY, ID, CONTENT = b"k" * 32, "q_0123456789abcdef", b"content"


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "plain").write_bytes(CONTENT)
    with (folder / "plain").open("rb") as source, (folder / "sealed").open("wb") as target:
        seal(source.fileno(), target.fileno(), vault_key=KEY, entry_id=ID, salt=b"s" * 32, expected_bytes=100)
    return (folder / "sealed").read_bytes()


def is_refused(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    with path.open("rb") as source:
        try:
            unseal(source.fileno(), None, vault_key=KEY, entry_id=ID)
        except DamagedSealError:
            return True
    return False


@given(data=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    assert is_refused(tmp_path / "sealed", data)


@given(position=st.integers(min_value=0, max_value=66), flip=st.integers(min_value=1, max_value=255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_changed_byte_anywhere_is_refused(tmp_path: Path, genuine: bytes, position: int, flip: int) -> None:
    assert len(genuine) == 67
    changed = genuine[:position] + bytes([genuine[position] ^ flip]) + genuine[position + 1 :]
    assert is_refused(tmp_path / "sealed", changed)
    assert not is_refused(tmp_path / "sealed", genuine)


@given(cut=st.integers(min_value=0, max_value=66), tail=st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_and_continued_is_refused(tmp_path: Path, genuine: bytes, cut: int, tail: bytes) -> None:
    forged = genuine[:cut] + tail
    assert is_refused(tmp_path / "sealed", forged) == (forged != genuine)
